use vitalsign::counted;

#[counted(labels(a = limit("x", 0)))]
fn f() {}

fn main() {
    f();
}
