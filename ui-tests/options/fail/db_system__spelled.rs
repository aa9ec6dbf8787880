use vitalsign::traced;

#[traced(db(system = "postgres"))]
fn f() {}

fn main() {
    f();
}
