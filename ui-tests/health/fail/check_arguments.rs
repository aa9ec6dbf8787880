use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    #[check()]
    async fn f(&self, n: u8) {
        let _ = n;
    }
}

fn main() {
    drop(S.f(1));
}
