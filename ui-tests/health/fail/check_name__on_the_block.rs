use vitalsign::health_check;

struct S;

#[health_check(name = "x")]
impl S {
    #[check()]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
