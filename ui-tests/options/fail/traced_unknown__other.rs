use vitalsign::traced;

#[traced(labels(a = "b"))]
fn f() {}

fn main() {
    f();
}
