use vitalsign::health_check;

#[health_check(cache = "0s")]
async fn f() {}

fn main() {
    drop(f());
}
