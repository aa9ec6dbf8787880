use vitalsign::health_check;

#[health_check()]
async fn f(db: &str) {
    let _ = db;
}

fn main() {
    drop(f(""));
}
