use vitalsign::counted;

#[counted(labels(user = limit(user, most)))]
fn call(user: &str, most: u32) {}

fn main() {}
