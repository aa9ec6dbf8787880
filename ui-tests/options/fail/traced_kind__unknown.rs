use vitalsign::traced;

#[traced(kind = sever)]
fn f() {}

fn main() {
    f();
}
