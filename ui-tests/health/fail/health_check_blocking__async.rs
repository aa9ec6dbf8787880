use vitalsign::health_check;

#[health_check(blocking)]
async fn f() {}

fn main() {
    drop(f());
}
