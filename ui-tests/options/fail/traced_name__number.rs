use vitalsign::traced;

#[traced(name = 5)]
fn f() {}

fn main() {
    f();
}
