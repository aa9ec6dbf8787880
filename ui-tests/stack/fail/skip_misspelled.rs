use vitalsign::traced;

struct S;

#[traced]
impl S {
    #[vitalsign(skpi)]
    fn f(&self) {}
}

fn main() {
    S.f();
}
