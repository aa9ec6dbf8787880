use vitalsign::counted;

#[counted(labels(user = user))]
fn f(user: String) {
    drop(user);
}

fn main() {
    f(String::new());
}
