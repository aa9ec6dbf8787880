#[derive(vitalsign::LabelValue)]
enum Channel {
    #[label(rename = "")]
    Web,
}

fn main() {
    let _ = Channel::Web;
}
