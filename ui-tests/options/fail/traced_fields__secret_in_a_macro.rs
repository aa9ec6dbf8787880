#![allow(unused_variables)]

use vitalsign::traced;

macro_rules! login {
    ($field:expr) => {
        #[traced(fields(who = $field))]
        fn login(password: &str) {}
    };
}

login!(password);

#[traced(fields(who = *(password)))]
fn login_again(password: &str) {}

fn main() {}
