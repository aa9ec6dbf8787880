use vitalsign::traced;

#[traced(level = 3)]
fn f() {}

fn main() {
    f();
}
