use vitalsign::traced;

#[traced(link = "x")]
fn run() {}

fn main() {}
