#[derive(vitalsign::LabelValue)]
enum Channel {
    Web,
    #[label(rename = "web")]
    Site,
}

fn main() {
    let _ = (Channel::Web, Channel::Site);
}
