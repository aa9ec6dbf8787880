use vitalsign::{timed, traced};

#[traced]
#[timed]
struct S;

fn main() {
    let _ = S;
}
