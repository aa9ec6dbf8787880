#[derive(vitalsign::HealthCheck)]
enum Backends {
    One,
}

fn main() {
    let _ = Backends::One;
}
