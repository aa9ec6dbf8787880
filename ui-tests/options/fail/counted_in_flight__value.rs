use vitalsign::counted;

#[counted(in_flight = true)]
fn f() {}

fn main() {
    f();
}
