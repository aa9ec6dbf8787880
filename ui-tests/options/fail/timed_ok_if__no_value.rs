use vitalsign::timed;

#[timed(ok_if)]
fn f() {}

fn main() {
    f();
}
