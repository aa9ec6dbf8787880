use vitalsign::traced;

#[traced(db(sytem = "postgresql"))]
fn f() {}

fn main() {
    f();
}
