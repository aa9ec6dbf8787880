#[derive(vitalsign::LabelValue)]
#[label(rename_all = "kebap-case")]
enum Channel {
    Web,
}

fn main() {
    let _ = Channel::Web;
}
