use vitalsign::traced;

#[traced(fields(password))]
fn f(password: &str) {
    let _ = password;
}

fn main() {
    f("");
}
