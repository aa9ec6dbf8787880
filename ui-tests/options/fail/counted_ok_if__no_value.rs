use vitalsign::counted;

#[counted(ok_if)]
fn f() {}

fn main() {
    f();
}
