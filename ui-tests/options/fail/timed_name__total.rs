use vitalsign::timed;

#[timed(name = "request.total")]
fn f() {}

fn main() {
    f();
}
