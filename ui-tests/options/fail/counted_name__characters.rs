use vitalsign::counted;

#[counted(name = "orders placed")]
fn f() {}

fn main() {
    f();
}
