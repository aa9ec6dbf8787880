use vitalsign::observed;

#[observed(counted(name = "x.seconds"))]
fn f() {}

fn main() {
    f();
}
