//! A program as users write them, for the tests of what leaves it: calls as often as it is told, ends as it is told, and says what
//! became of everything.
//!
//! `export_program CALLS [panic|abort|forget]`

use std::time::Duration;

/// Work.
#[vitalsign::traced]
#[vitalsign::counted(name = "program.work")]
#[vitalsign::timed]
fn work(n: u64) -> u64 {
    if n.is_multiple_of(10) {
        tracing::info!(n, "ten more");
    }
    n + 1
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let calls: u64 = arguments.next().and_then(|calls| calls.parse().ok()).unwrap_or(10);
    let vitals = match vitalsign::builder().shutdown_timeout(Duration::from_secs(5)).install() {
        Ok(vitals) => vitals,
        Err(error) => {
            println!("refused: {error}");
            std::process::exit(3);
        }
    };
    if let Some(address) = vitals.admin_addr() {
        println!("admin {address}");
    }
    for n in 0..calls {
        work(n);
    }
    match arguments.next().as_deref() {
        Some("panic") => panic!("on purpose"),
        Some("wait") => std::thread::sleep(Duration::from_secs(3600)),
        _ => {
            vitals.flush(Duration::from_secs(5));
            println!("{:?}", vitals.report());
        }
    }
}
