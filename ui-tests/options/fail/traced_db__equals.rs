use vitalsign::traced;

#[traced(db = "postgresql")]
fn f() {}

fn main() {
    f();
}
