use vitalsign::traced;

#[traced(db(system = "sqlite", operation = 1))]
fn f() {}

fn main() {
    f();
}
