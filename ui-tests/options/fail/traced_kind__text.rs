use vitalsign::traced;

#[traced(kind = "server")]
fn f() {}

fn main() {
    f();
}
