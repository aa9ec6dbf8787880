use vitalsign::traced;

#[traced(ret(json))]
fn f() {}

fn main() {
    f();
}
