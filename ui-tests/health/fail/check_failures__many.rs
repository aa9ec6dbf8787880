use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(failures = 100000)]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
