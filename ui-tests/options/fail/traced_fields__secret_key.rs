use vitalsign::traced;

#[traced(fields(user.api_key = key))]
fn f(key: &str) {
    let _ = key;
}

fn main() {
    f("");
}
