use vitalsign::timed;

#[timed(exemplars = on)]
fn f() {}

fn main() {
    f();
}
