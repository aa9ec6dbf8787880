use vitalsign::traced;

#[traced(fields(x = %user.session_token))]
fn f(user: &User) {
    let _ = &user.session_token;
}

struct User {
    session_token: String,
}

fn main() {
    f(&User { session_token: String::new() });
}
