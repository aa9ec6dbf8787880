use vitalsign::traced;

#[traced(name = "")]
fn f() {}

fn main() {
    f();
}
