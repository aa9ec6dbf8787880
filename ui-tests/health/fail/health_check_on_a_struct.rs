use vitalsign::health_check;

#[health_check()]
struct S;

fn main() {
    let _ = S;
}
