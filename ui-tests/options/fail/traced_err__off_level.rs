use vitalsign::traced;

#[traced(err(off, level = "warn"))]
fn f() {}

fn main() {
    f();
}
