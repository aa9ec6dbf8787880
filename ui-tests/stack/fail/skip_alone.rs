#[vitalsign::vitalsign(skip)]
fn f() {}

fn main() {
    f();
}
