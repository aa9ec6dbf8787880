use vitalsign::health_check;

#[health_check()]
async fn f<T>() {}

fn main() {
    drop(f::<u8>());
}
