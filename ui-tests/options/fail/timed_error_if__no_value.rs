use vitalsign::timed;

#[timed(error_if)]
fn f() {}

fn main() {
    f();
}
