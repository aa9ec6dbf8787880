use vitalsign::traced;

#[traced(parent)]
fn f() {}

fn main() {
    f();
}
