use vitalsign::observed;

#[observed(ok_if = |_| true, traced(ok_if = |_| true))]
fn f() {}

fn main() {
    f();
}
