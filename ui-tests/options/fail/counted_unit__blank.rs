use vitalsign::counted;

#[counted(unit = "bytes sent")]
fn f() {}

fn main() {
    f();
}
