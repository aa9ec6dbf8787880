use vitalsign::traced;

#[traced(ok_if)]
fn f() {}

fn main() {
    f();
}
