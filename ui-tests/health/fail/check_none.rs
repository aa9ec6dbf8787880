use vitalsign::health_check;

struct S;

#[health_check]
impl S {
    fn f(&self) {}
}

fn main() {
    S.f();
}
