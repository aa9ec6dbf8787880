use vitalsign::timed;

#[timed(crate = 1)]
fn f() {}

fn main() {
    f();
}
