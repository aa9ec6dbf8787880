use vitalsign::counted;

#[counted(labels(a = "x", a = "y"))]
fn f() {}

fn main() {
    f();
}
