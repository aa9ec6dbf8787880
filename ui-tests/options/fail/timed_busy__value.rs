use vitalsign::timed;

#[timed(busy(1))]
fn f() {}

fn main() {
    f();
}
