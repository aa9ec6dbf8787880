use vitalsign::timed;

#[timed(buckets = [0.1, 0.1])]
fn f() {}

fn main() {
    f();
}
