use vitalsign::health_check;

#[health_check()]
async fn f() -> u8 {
    1
}

fn main() {
    drop(f());
}
