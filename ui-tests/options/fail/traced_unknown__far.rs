use vitalsign::traced;

#[traced(frobnicate = 1)]
fn f() {}

fn main() {
    f();
}
