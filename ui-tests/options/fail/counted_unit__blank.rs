use vitalsign::counted;

#[counted(name = "bytes.sent", unit = "bytes sent")]
fn f() {}

fn main() {
    f();
}
