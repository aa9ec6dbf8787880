use vitalsign::counted;

#[counted(labels(__x = "x"))]
fn f() {}

fn main() {
    f();
}
