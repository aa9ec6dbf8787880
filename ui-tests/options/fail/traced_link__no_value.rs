use vitalsign::traced;

#[traced(link)]
fn f() {}

fn main() {
    f();
}
