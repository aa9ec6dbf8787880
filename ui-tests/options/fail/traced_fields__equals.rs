use vitalsign::traced;

#[traced(fields = x)]
fn f() {}

fn main() {
    f();
}
