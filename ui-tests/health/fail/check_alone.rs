use vitalsign::check;

struct S;

impl S {
    #[check]
    fn f(&self) {}
}

fn main() {
    S.f();
}
