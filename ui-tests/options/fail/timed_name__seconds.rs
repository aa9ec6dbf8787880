use vitalsign::timed;

#[timed(name = "request_seconds")]
fn f() {}

fn main() {
    f();
}
