use vitalsign::timed;

#[timed(exponential(0.1, 2.0, 1000))]
fn f() {}

fn main() {
    f();
}
