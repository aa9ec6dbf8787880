use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(liveness = true)]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
