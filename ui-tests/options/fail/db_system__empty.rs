use vitalsign::traced;

#[traced(db(system = ""))]
fn f() {}

fn main() {
    f();
}
