use vitalsign::traced;

#[traced(db(system = "sqlite", query))]
fn f() {}

fn main() {
    f();
}
