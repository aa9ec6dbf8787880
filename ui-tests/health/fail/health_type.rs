use vitalsign::{HealthCheck, HealthStatus};

#[derive(HealthCheck)]
struct Backends {
    #[health(readiness)]
    pool: u8,
}

struct Pool;

impl HealthCheck for Pool {
    async fn check(&self) -> HealthStatus {
        HealthStatus::up()
    }
}

fn is_up(_: &Pool) -> bool {
    true
}

fn main() {
    let _ = Backends { pool: 1 }.pool;
    is_up(&Pool);
}
