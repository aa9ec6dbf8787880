use vitalsign::health_check;

#[health_check()]
unsafe fn f() {}

fn main() {
    let _: unsafe fn() = f;
}
