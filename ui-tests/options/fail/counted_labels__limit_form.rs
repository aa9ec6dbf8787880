use vitalsign::counted;

#[counted(labels(a = limit("x")))]
fn f() {}

fn main() {
    f();
}
