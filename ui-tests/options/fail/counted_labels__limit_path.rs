use vitalsign::counted;

#[counted(labels(user = vitalsign::limit(user, 50), last = |ret| limit(ret, MOST)))]
fn call(user: &str) -> u32 {
    user.len() as u32
}

fn main() {
    call("ada");
}
