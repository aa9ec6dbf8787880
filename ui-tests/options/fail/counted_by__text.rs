use vitalsign::counted;

#[counted(by = "3")]
fn add() {}

fn main() {}
