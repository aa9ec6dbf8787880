use vitalsign::traced;

#[traced(error_if)]
fn f() {}

fn main() {
    f();
}
