use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(timeout = "-1s")]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
