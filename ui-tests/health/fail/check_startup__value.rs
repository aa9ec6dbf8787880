use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(startup = true)]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
