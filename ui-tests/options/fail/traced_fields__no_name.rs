use vitalsign::traced;

#[traced(fields(%1 + 2))]
fn f() {}

fn main() {
    f();
}
