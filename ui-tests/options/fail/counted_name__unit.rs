use vitalsign::counted;

#[counted(name = "sent.bytes")]
fn f() {}

fn main() {
    f();
}
