use vitalsign::counted;

#[counted(help = "")]
fn f() {}

fn main() {
    f();
}
