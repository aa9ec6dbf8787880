use vitalsign::traced;

#[traced(db())]
fn f() {}

fn main() {
    f();
}
