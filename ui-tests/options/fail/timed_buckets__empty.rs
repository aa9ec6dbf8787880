use vitalsign::timed;

#[timed(buckets = [])]
fn f() {}

fn main() {
    f();
}
