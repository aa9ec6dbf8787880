use vitalsign::traced;

#[traced(skip_all, follows_from = causes)]
fn place(order: u64) {}

fn main() {}
