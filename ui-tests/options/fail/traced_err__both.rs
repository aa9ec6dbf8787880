use vitalsign::traced;

#[traced(err(debug, off))]
fn f() {}

fn main() {
    f();
}
