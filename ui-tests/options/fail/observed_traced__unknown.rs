use vitalsign::observed;

#[observed(traced(nmae = "x"))]
fn f() {}

fn main() {
    f();
}
