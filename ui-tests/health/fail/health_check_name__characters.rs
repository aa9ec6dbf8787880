use vitalsign::health_check;

#[health_check(name = "orders db")]
async fn f() {}

fn main() {
    drop(f());
}
