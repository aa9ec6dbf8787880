use vitalsign::counted;

#[counted(labels(outcome = "x"))]
fn f() {}

fn main() {
    f();
}
