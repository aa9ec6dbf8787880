use vitalsign::traced;

#[traced(fields(a = 1, a = 2))]
fn f() {}

fn main() {
    f();
}
