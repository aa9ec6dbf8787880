use vitalsign::health_check;

#[health_check(successes = "2")]
async fn f() {}

fn main() {
    drop(f());
}
