use vitalsign::timed;

#[timed(labels(le = "x"))]
fn f() {}

fn main() {
    f();
}
