use vitalsign::traced;

#[traced(fields())]
fn f() {}

fn main() {
    f();
}
