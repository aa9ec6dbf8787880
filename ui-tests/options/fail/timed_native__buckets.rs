use vitalsign::timed;

#[timed(native, buckets = [0.1])]
fn f() {}

fn main() {
    f();
}
