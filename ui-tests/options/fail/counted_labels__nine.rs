use vitalsign::counted;

#[counted(labels(a = "x", b = "x", c = "x", d = "x", e = "x", f = "x", g = "x", h = "x", i = "x"))]
fn f() {}

fn main() {
    f();
}
