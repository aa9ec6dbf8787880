use vitalsign::traced;

#[traced(stream)]
fn f() {}

fn main() {
    f();
}
