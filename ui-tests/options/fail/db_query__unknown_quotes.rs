use vitalsign::traced;

#[traced(db(system = "redis", query = "GET session"))]
fn f() {}

fn main() {
    f();
}
