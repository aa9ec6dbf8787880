#[derive(vitalsign::LabelValue)]
#[label(rename_all = "kebap-case")]
enum Channel {
    Web,
}

#[derive(vitalsign::LabelValue)]
#[label(rename_all = "snake")]
enum Snake {
    AtNight,
}

fn main() {
    let _ = Snake::AtNight;
    let _ = Channel::Web;
}
