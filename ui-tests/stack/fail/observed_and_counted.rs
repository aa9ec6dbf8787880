use vitalsign::{counted, observed};

#[observed]
#[counted(in_flight)]
fn f() {}

fn main() {
    f();
}
