use vitalsign::health_check;

struct S;

impl S {
    #[health_check]
    async fn up(&self) {}
}

fn main() {
    drop(S.up());
}
