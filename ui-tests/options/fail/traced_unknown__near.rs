use vitalsign::traced;

#[traced(feilds(a = 1))]
fn f() {}

fn main() {
    f();
}
