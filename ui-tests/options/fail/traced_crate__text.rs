use vitalsign::traced;

#[traced(crate = "vitalsign")]
fn f() {}

fn main() {
    f();
}
