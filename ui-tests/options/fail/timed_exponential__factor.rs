use vitalsign::timed;

#[timed(exponential(0.1, 1.0, 5))]
fn f() {}

fn main() {
    f();
}
