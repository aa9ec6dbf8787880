use vitalsign::timed;

#[timed(native = 4)]
fn f() {}

fn main() {
    f();
}
