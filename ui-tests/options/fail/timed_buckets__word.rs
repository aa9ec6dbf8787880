use vitalsign::timed;

#[timed(buckets = default)]
fn f() {}

fn main() {
    f();
}
