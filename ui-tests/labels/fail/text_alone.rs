use vitalsign::{ErrorLabel, LabelValue, counted};

// A slip in the type is one error, not one more wherever it is used.
#[derive(LabelValue)]
enum Channel {
    #[label("app")]
    App,
    Web,
}

#[derive(ErrorLabel)]
enum Failure {
    #[label("sold-out")]
    SoldOut,
}

#[counted(labels(channel = channel))]
fn order(channel: Channel) -> Result<Channel, Failure> {
    match channel {
        Channel::App => Ok(Channel::Web),
        Channel::Web => Err(Failure::SoldOut),
    }
}

fn main() {
    let _ = order(Channel::App);
}
