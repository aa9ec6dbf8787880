use vitalsign::counted;

struct S;

#[counted(labels(outcome = "x"))]
impl S {
    fn f(&self) {}
    async fn g(&self) {}
}

fn main() {
    S.f();
    drop(S.g());
}
