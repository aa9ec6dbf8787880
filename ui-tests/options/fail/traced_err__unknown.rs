use vitalsign::traced;

#[traced(err(display))]
fn f() {}

fn main() {
    f();
}
