use vitalsign::health_check;

#[health_check(readiness(1))]
async fn f() {}

fn main() {
    drop(f());
}
