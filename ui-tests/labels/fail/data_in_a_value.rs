#[derive(vitalsign::LabelValue)]
enum Channel {
    Web,
    Other(String),
}

fn main() {
    let _ = (Channel::Web, Channel::Other(String::new()));
}
