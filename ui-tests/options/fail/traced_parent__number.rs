use vitalsign::traced;

#[traced(parent = 3)]
fn run() {}

fn main() {}
