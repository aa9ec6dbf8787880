use vitalsign::traced;

#[traced(ok_if = |_| true, error_if = |_| true)]
fn f() {}

fn main() {
    f();
}
