use vitalsign::counted;

#[counted(labels(order.kind = "x"))]
fn f() {}

fn main() {
    f();
}
