use vitalsign::observed;

#[observed(job = 1)]
fn f() {}

fn main() {
    f();
}
