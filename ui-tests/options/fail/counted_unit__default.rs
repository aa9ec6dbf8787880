use vitalsign::counted;

#[counted(unit = "By", help = "Bytes that were sent.")]
fn f() {}

fn main() {
    f();
}
