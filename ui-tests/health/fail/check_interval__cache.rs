use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(interval = "1s", cache = "1s")]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
