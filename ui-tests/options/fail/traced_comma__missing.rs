use vitalsign::traced;

#[traced(root args)]
fn f() {}

fn main() {
    f();
}
