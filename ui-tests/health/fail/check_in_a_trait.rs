use vitalsign::health_check;

struct S;

trait Up {
    fn up(&self);
}

#[health_check]
impl Up for S {
    #[check]
    fn up(&self) {}
}

fn main() {
    S.up();
}
