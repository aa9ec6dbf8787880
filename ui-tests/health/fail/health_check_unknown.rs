use vitalsign::health_check;

#[health_check(timout = "5s")]
async fn f() {}

fn main() {
    drop(f());
}
