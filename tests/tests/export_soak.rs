//! The quick forms of the soak and of the outage; the long ones are
//! `cargo run --release -p tests --bin soak -- --minutes 60` and
//! `VITALSIGN_SPOOL_DIR=… cargo run --release -p tests --bin soak -- --minutes 12 --outage 300`.

use std::process::Command;
use tests::server::Folder;

fn soak(arguments: &[&str], spool: Option<&Folder>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soak"));
    command.args(arguments).env("RUST_LOG", "off");
    if let Some(folder) = spool {
        command.env("VITALSIGN_SPOOL_DIR", folder.path());
    }
    let output = command.output().expect("it runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{text}");
    assert!(output.status.success(), "{text}");
}

/// `VITALSIGN_SOAK_SECONDS=60` in CI.
#[test]
fn a_collector_that_flaps() {
    let seconds = std::env::var("VITALSIGN_SOAK_SECONDS").unwrap_or_else(|_| "20".to_owned());
    soak(&["--seconds", &seconds, "--rate", "4000"], None);
}

#[test]
fn an_outage_with_a_spool_loses_nothing() {
    let folder = Folder::new();
    soak(&["--seconds", "24", "--outage", "8", "--rate", "4000"], Some(&folder));
}
