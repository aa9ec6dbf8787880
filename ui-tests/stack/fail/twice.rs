use vitalsign::traced;

#[traced]
#[traced(level = "debug")]
fn f() {}

fn main() {
    f();
}
