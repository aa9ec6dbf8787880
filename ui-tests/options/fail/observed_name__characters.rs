use vitalsign::observed;

#[observed(name = "1st")]
fn f() {}

fn main() {
    f();
}
