//! `-> !`
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::observed;

#[observed]
fn panics() -> ! {
    panic!("on purpose")
}

#[observed]
fn with_argument(code: i32) -> ! {
    if code == 0 {
        panic!("zero");
    }
    std::process::exit(code)
}

#[observed]
async fn waits() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

#[observed]
async fn panics_later(text: String) -> ! {
    std::future::ready(()).await;
    panic!("{text}")
}

fn main() {
    assert!(std::panic::catch_unwind(|| panics()).is_err());
    let _: fn(i32) -> ! = with_argument;
    drop(waits());
    drop(panics_later(String::new()));
}
