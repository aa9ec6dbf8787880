use vitalsign::{counted, traced};

#[traced]
#[counted]
const fn f() -> u8 {
    1
}

const _: u8 = f();

fn main() {}
