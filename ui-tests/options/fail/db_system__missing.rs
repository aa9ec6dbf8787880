use vitalsign::traced;

#[traced(db(query = "SELECT 1"))]
fn f() {}

fn main() {
    f();
}
