#[derive(vitalsign::HealthCheck)]
struct Backends {
    n: u8,
}

fn main() {
    let _ = Backends { n: 1 }.n;
}
