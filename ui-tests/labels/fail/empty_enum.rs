#[derive(vitalsign::LabelValue)]
enum Channel {}

fn main() {}
