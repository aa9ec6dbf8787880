use vitalsign::timed;

#[timed(buckets = [0.1, 1e999])]
fn f() {}

fn main() {
    f();
}
