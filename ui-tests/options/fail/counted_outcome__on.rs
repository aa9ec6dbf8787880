use vitalsign::counted;

#[counted(outcome = on)]
fn f() {}

fn main() {
    f();
}
