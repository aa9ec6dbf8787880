use vitalsign::traced;

#[traced("checkout")]
fn f() {}

fn main() {
    f();
}
