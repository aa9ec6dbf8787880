//! vitalsign's side.

use crate::{body, consume, ready};
use vitalsign::{counted, timed, traced};

pub(crate) fn init() {}
pub(crate) fn init_unsampled() {}
pub(crate) fn check_counted(_: u64) {}
pub(crate) fn check_timed(_: u64) {}
pub(crate) fn check_spans(_: u64) {}

macro_rules! roots {
    ($($(#[$attribute:meta])* $name:ident $function:ident;)*) => {
        $(
            $(#[$attribute])*
            fn $function(i: u64) -> Result<u64, std::fmt::Error> {
                body(i)
            }

            pub(crate) fn $name(n: u64) {
                for i in 0..n {
                    consume($function(i));
                }
            }
        )*
    };
}

roots! {
    #[counted]
    counted counted_body;
    #[timed]
    timed timed_body;
    #[counted] #[timed]
    counted_and_timed counted_and_timed_body;
    #[traced]
    root traced_body;
    #[traced] #[counted] #[timed]
    all all_body;
}

#[traced]
async fn traced_later(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) fn root_async(n: u64) {
    for i in 0..n {
        ready(traced_later(i));
    }
}

#[traced]
fn traced_parent(i: u64) {
    for _ in 0..99 {
        consume(traced_body(i));
    }
}

pub(crate) fn tree(n: u64) {
    for i in 0..n {
        traced_parent(i);
    }
}

#[traced]
#[counted]
#[timed]
async fn all_later(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) fn all_async(n: u64) {
    for i in 0..n {
        ready(all_later(i));
    }
}

#[traced]
#[counted]
#[timed]
fn all_parent(i: u64) {
    for _ in 0..99 {
        consume(all_body(i));
    }
}

pub(crate) fn all_tree(n: u64) {
    for i in 0..n {
        all_parent(i);
    }
}
