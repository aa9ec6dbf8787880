use vitalsign::traced;

#[traced(fields(a = truncate("x")))]
fn f() {}

fn main() {
    f();
}
