use vitalsign::traced;

#[traced(root, parent = 1)]
fn f() {}

fn main() {
    f();
}
