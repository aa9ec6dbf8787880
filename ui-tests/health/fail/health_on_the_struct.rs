#[derive(vitalsign::HealthCheck)]
#[health(timeout = "5s")]
struct Backends {
    #[health(skip)]
    n: u8,
    #[health]
    inner: Option<Box<Backends>>,
}

fn main() {
    let _ = Backends { n: 1, inner: None }.n;
}
