use vitalsign::counted;

#[counted(labels())]
fn f() {}

fn main() {
    f();
}
