use vitalsign::traced;

#[traced(db(system = "sqlite", namespace = "a", namespace = "b"))]
fn f() {}

fn main() {
    f();
}
