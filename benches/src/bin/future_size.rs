//! Promise: an annotated `async fn`'s future grows by at most 160 bytes, whatever its arguments, and gains no `Box`.
//!
//! `cargo run -p benches --bin future_size`

use std::hint::black_box;
use vitalsign::{counted, timed, traced};

const ALLOWED: usize = 160;

macro_rules! functions {
    ($bare:ident $annotated:ident $size:literal) => {
        async fn $bare(argument: [u8; $size]) -> Result<usize, std::fmt::Error> {
            std::future::ready(()).await;
            Ok(black_box(&argument).len())
        }

        #[traced]
        #[counted]
        #[timed]
        async fn $annotated(argument: [u8; $size]) -> Result<usize, std::fmt::Error> {
            std::future::ready(()).await;
            Ok(black_box(&argument).len())
        }
    };
}

functions!(bare_0 annotated_0 0);
functions!(bare_64 annotated_64 64);
functions!(bare_1024 annotated_1024 1024);

fn main() {
    let sizes = [
        (0, size_of_val(&bare_0([0; 0])), size_of_val(&annotated_0([0; 0]))),
        (64, size_of_val(&bare_64([0; 64])), size_of_val(&annotated_64([0; 64]))),
        (
            1024,
            size_of_val(&bare_1024([0; 1024])),
            size_of_val(&annotated_1024([0; 1024])),
        ),
    ];
    println!("bytes of a future; argument by value, bare, annotated, more (at most {ALLOWED})");
    for (argument, bare, annotated) in sizes {
        println!(
            "{argument:>6} {bare:>6} {annotated:>6} {:>+5}",
            annotated.cast_signed() - bare.cast_signed()
        );
    }
    if sizes.iter().any(|(_, bare, annotated)| *annotated > bare + ALLOWED) {
        eprintln!("more than promised");
        std::process::exit(1);
    }
}
