use vitalsign::counted;

#[counted(crate)]
fn f() {}

fn main() {
    f();
}
