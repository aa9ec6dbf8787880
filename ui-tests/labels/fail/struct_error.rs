#[derive(vitalsign::ErrorLabel)]
struct Error;

fn main() {
    let _ = Error;
}
