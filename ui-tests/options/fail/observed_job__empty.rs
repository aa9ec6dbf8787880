use vitalsign::observed;

#[observed(job = "")]
fn f() {}

fn main() {
    f();
}
