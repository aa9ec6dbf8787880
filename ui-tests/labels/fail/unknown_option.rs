#[derive(vitalsign::LabelValue)]
#[label(rename_al = "kebab-case")]
enum Channel {
    #[label(renam = "x")]
    Web,
    #[label(outcome = "ok")]
    App,
}

fn main() {
    let _ = (Channel::Web, Channel::App);
}
