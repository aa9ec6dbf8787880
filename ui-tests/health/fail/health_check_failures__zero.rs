use vitalsign::health_check;

#[health_check(failures = 0)]
async fn f() {}

fn main() {
    drop(f());
}
