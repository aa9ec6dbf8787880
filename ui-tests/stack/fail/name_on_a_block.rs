use vitalsign::traced;

struct S;

#[traced(name = "all alike")]
impl S {
    fn f(&self) {}
}

fn main() {
    S.f();
}
