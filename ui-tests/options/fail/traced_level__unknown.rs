use vitalsign::traced;

#[traced(level = "wran")]
fn f() {}

fn main() {
    f();
}
