use vitalsign::health_check;

#[health_check(liveness = true)]
async fn f() {}

fn main() {
    drop(f());
}
