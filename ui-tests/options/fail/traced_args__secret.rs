use vitalsign::traced;

#[traced(args)]
fn f(id: u8, auth_token: &str) {
    let _ = (id, auth_token);
}

fn main() {
    f(1, "");
}
