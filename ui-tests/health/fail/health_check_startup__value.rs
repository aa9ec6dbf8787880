use vitalsign::health_check;

#[health_check(startup = "x")]
async fn f() {}

fn main() {
    drop(f());
}
