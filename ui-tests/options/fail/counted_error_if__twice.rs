use vitalsign::counted;

#[counted(error_if = |_| true, error_if = |_| false)]
fn f() {}

fn main() {
    f();
}
