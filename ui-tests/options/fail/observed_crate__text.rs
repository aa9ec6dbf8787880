use vitalsign::observed;

#[observed(crate = "x")]
fn f() {}

fn main() {
    f();
}
