//! Every option of `observed`.
#![deny(warnings)]
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::future::Future;

use vitalsign::jobs::Job;
use vitalsign::observed;

struct Mail {
    to: String,
}

#[observed(name = "checkout", traced(kind = server, args), counted(in_flight, labels(express = express)), timed(busy, native))]
async fn checkout(express: bool) -> Result<bool, String> {
    Ok(express)
}

#[observed(traced(name = "other"), counted(name = "others"), timed(), crate = ::vitalsign)]
fn nested() {}

#[observed(job = "send_mail", counted(in_flight))]
async fn send_mail(retries: bool, mail: Job<Mail>) -> Result<usize, String> {
    assert!(!retries);
    Ok(mail.to.len())
}

#[observed(job = "send_again", traced(root, fields(to = mail.to)))]
fn send_again(mail: &Job<Mail>) -> usize {
    mail.to.len()
}

#[observed(job(name = "tick"))]
fn tick(Mail { to }: &mut Mail, nothing: impl Send) {
    to.push('!');
    drop(nothing);
}

#[observed(job(name = "resize", system = "rabbitmq", queue = "images", message = &headers.1))]
async fn resize(headers: (u8, HashMap<String, String>)) -> u8 {
    headers.0
}

#[observed(job(name = "later", message = *headers), traced(parent = headers))]
fn later<'h>(headers: &'h HashMap<String, String>) -> impl Future<Output = usize> + 'h {
    async { headers.len() }
}

#[observed(ok_if = |n| *n > 0)]
fn ok_if() -> u8 {
    1
}

#[observed(error_if = |n| *n > 0)]
fn error_if() -> u8 {
    1
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(checkout(true).await, Ok(true));
    nested();
    let mail = || Mail { to: "ada".to_owned() };
    assert_eq!(send_mail(false, Job::new(mail())).await, Ok(3));
    assert_eq!(send_again(&Job::new(mail()).retry()), 3);
    let mut changed = mail();
    tick(&mut changed, ());
    assert_eq!(changed.to, "ada!");
    assert_eq!(resize((7, HashMap::new())).await, 7);
    assert_eq!(later(&HashMap::new()).await, 0);
    assert_eq!(ok_if() + error_if(), 2);
}
