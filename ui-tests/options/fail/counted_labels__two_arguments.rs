use vitalsign::counted;

#[counted(labels(a = |ret, other| true))]
fn f() {}

fn main() {
    f();
}
