use vitalsign::counted;

#[counted(labels(kind))]
fn f() {}

fn main() {
    f();
}
