use vitalsign::health_check;

#[health_check(critical)]
async fn f() {}

fn main() {
    drop(f());
}
