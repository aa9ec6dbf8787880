#[derive(vitalsign::ErrorLabel)]
enum Error {
    #[label(outcome = "fine")]
    NotFound,
}

fn main() {
    let _ = Error::NotFound;
}
