use vitalsign::traced;

struct Rows;

#[traced(stream)]
impl Rows {
    fn f(&self) {}
}

fn main() {
    Rows.f();
}
