use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check(critical = "no")]
    async fn f(&self) {}
}

fn main() {
    drop(S.f());
}
