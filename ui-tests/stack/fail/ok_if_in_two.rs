use vitalsign::{counted, traced};

#[traced(ok_if = |_| true)]
#[counted(error_if = |_| true)]
fn f() {}

fn main() {
    f();
}
