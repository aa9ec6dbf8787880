use vitalsign::{observed, timed};

#[timed(help = "How long it takes.")]
fn f() {}

#[observed(name = "g", timed(help = "How long it takes."))]
fn g() {}

fn main() {
    f();
    g();
}
