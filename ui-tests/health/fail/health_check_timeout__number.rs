use vitalsign::health_check;

#[health_check(timeout = 5)]
async fn f() {}

fn main() {
    drop(f());
}
