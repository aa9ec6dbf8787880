use vitalsign::timed;

#[timed(exponential(0.1, 2.0))]
fn f() {}

fn main() {
    f();
}
