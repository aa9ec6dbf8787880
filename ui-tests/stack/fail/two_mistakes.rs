use vitalsign::{counted, traced};

#[traced(nmae = "x", level = "loud")]
#[counted(name = "x_total")]
fn f() -> u8 {
    1
}

fn main() {
    let _: u8 = f();
}
