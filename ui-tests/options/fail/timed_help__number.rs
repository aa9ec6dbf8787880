use vitalsign::timed;

#[timed(help = 1)]
fn f() {}

fn main() {
    f();
}
