use vitalsign::health_check;

#[health_check(cache = "1s", interval = "10s")]
async fn f() {}

fn main() {
    drop(f());
}
