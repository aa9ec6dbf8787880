//! No prelude, and names of std that mean something else.
#![no_implicit_prelude]
#![deny(warnings)]
#![forbid(unsafe_code)]
#![allow(dead_code, non_snake_case)]

use ::vitalsign::{ErrorLabel, HealthCheck, LabelValue, health_check, observed};

mod core {}
mod std {}
mod alloc {}
mod tracing {}
mod linkme {}
struct Option;
struct Result;
struct Some;
struct None;
fn Ok() {}
fn Err() {}
trait Future {}
trait Send {}
trait Sync {}
trait Fn {}
struct String;
struct Box;

#[derive(LabelValue)]
enum Channel {
    Web,
}

#[derive(ErrorLabel)]
enum Error {
    Wrong,
}

#[observed(traced(args, ret), counted(labels(channel = channel, text = limit("x", 5)), by = 2, in_flight))]
fn plain(channel: Channel, n: u8) -> ::std::result::Result<u8, Error> {
    match channel {
        Channel::Web => ::std::result::Result::Ok(n),
    }
}

#[observed(traced(fields(n = %n, debug = ?n, secret = hash(n), cut = truncate(n, 3), gone = redact(n), later)))]
async fn asynchronous(n: u8) -> ::std::option::Option<u8> {
    ::std::option::Option::Some(n)
}

#[observed]
fn boxed(n: u8) -> ::std::pin::Pin<::std::boxed::Box<dyn ::std::future::Future<Output = u8>>> {
    ::std::boxed::Box::pin(async move { n })
}

struct Probe;

#[health_check]
impl Probe {
    #[check(timeout = "2s")]
    async fn up(&self) -> bool {
        true
    }
}

#[derive(HealthCheck)]
struct Backends {
    #[health(readiness)]
    probe: Probe,
    #[health(check = number_is_up)]
    number: u8,
}

async fn number_is_up(_: &u8) -> bool {
    true
}

#[health_check(liveness)]
async fn alive() {}

fn main() {
    let _ = plain(Channel::Web, 1);
    ::std::mem::drop((asynchronous(1), boxed(1)));
}
