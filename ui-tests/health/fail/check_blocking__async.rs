use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(blocking)]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
