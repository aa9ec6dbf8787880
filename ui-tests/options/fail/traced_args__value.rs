use vitalsign::traced;

#[traced(args = true)]
fn f() {}

fn main() {
    f();
}
