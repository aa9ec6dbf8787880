use vitalsign::traced;

#[traced(db(system = "sqlite", collection = " "))]
fn f() {}

fn main() {
    f();
}
