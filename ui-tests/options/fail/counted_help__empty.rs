use vitalsign::counted;

#[counted(name = "bytes.sent", help = "")]
fn f() {}

fn main() {
    f();
}
