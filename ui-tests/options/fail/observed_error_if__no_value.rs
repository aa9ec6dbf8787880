use vitalsign::observed;

#[observed(error_if)]
fn f() {}

fn main() {
    f();
}
