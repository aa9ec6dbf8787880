use vitalsign::{HealthCheck, HealthStatus};

#[derive(HealthCheck)]
struct Backends {
    #[health(startup = 1)]
    pool: Pool,
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
    let _ = Backends { pool: Pool }.pool;
    is_up(&Pool);
}
