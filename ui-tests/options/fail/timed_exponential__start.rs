use vitalsign::timed;

#[timed(exponential(0, 2.0, 5))]
fn f() {}

fn main() {
    f();
}
