use vitalsign::traced;

#[traced(db(system = "sqlite", query = 1))]
fn f() {}

fn main() {
    f();
}
