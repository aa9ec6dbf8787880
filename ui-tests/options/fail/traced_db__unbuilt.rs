use vitalsign::traced;

#[traced(db(system = "postgresql"))]
fn f() {}

fn main() {
    f();
}
