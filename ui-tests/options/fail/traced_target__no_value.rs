use vitalsign::traced;

#[traced(target)]
fn f() {}

fn main() {
    f();
}
