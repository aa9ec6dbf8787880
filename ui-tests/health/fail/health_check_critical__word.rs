use vitalsign::health_check;

#[health_check(critical = maybe)]
async fn f() {}

fn main() {
    drop(f());
}
