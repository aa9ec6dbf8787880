use vitalsign::traced;

#[traced(level = Level::DEBUGG)]
fn f() {}

fn main() {
    f();
}
