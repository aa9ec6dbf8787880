use vitalsign::traced;

#[traced(err)]
fn f() {}

fn main() {
    f();
}
