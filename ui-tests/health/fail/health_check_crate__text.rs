use vitalsign::health_check;

#[health_check(crate = "x")]
async fn f() {}

fn main() {
    drop(f());
}
