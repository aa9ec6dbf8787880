use vitalsign::counted;

#[counted(by)]
fn f() {}

fn main() {
    f();
}
