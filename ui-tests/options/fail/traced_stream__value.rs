use vitalsign::traced;

#[traced(stream = true)]
fn f() {}

fn main() {
    f();
}
