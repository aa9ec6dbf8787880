#[derive(vitalsign::LabelValue)]
struct Channel;

fn main() {
    let _ = Channel;
}
