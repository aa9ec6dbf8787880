//! Seven calls, then a panic that aborts: what they recorded has to leave the process nevertheless.

#[vitalsign::traced]
fn work(n: u64) -> u64 {
    n + 1
}

fn main() {
    let vitals = vitalsign::init().expect("installed");
    for n in 0..7 {
        work(n);
    }
    let told = std::env::args().nth(1);
    assert!(told.is_none(), "on purpose");
    drop(vitals);
}
