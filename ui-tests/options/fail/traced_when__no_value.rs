use vitalsign::traced;

#[traced(when)]
fn f() {}

fn main() {
    f();
}
