use vitalsign::observed;

#[observed(traced = "x")]
fn f() {}

fn main() {
    f();
}
