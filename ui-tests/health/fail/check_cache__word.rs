use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(cache = forever)]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
