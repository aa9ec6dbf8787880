//! The quick forms of the programs of endurance. The long ones:
//!
//! ```console
//! $ cargo run --release -p benches --bin soak -- --minutes 60
//! $ cargo run --release -p benches --bin outage -- --minutes 5
//! $ cargo run --release -p benches --bin kills -- --times 200
//! ```
//!
//! They run side by side, whatever the number of test threads, so that all of it takes as long as the soak.

use std::process::Command;

const RUNS: [(&str, &str); 9] = [
    (env!("CARGO_BIN_EXE_soak"), "--seconds 60 --rate 500"),
    (env!("CARGO_BIN_EXE_soak"), "--seconds 30 --rate 500 --protocol grpc"),
    (env!("CARGO_BIN_EXE_outage"), "--seconds 20 --rate 2000 --loose --spool"),
    (
        env!("CARGO_BIN_EXE_outage"),
        "--seconds 20 --rate 2000 --loose --spool --how silent",
    ),
    (
        env!("CARGO_BIN_EXE_outage"),
        "--seconds 20 --rate 2000 --loose --memory",
    ),
    (
        env!("CARGO_BIN_EXE_outage"),
        "--seconds 10 --rate 2000 --loose --memory --how drip",
    ),
    (
        env!("CARGO_BIN_EXE_outage"),
        "--seconds 10 --rate 2000 --loose --memory --how huge",
    ),
    (
        env!("CARGO_BIN_EXE_outage"),
        "--seconds 20 --rate 2000 --loose --spool --how reset --protocol grpc",
    ),
    (env!("CARGO_BIN_EXE_kills"), "--times 20"),
];

/// What it printed where it failed.
fn run((program, arguments): (&str, &str)) -> Option<String> {
    let output = Command::new(program)
        .args(arguments.split(' '))
        .output()
        .expect("it runs");
    let text = format!(
        "{program} {arguments}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{text}");
    (!output.status.success()).then_some(text)
}

#[test]
fn soak_outages_and_kills() {
    let runs = RUNS.map(|run_of| std::thread::spawn(move || run(run_of)));
    let failed: Vec<_> = runs
        .into_iter()
        .filter_map(|run| run.join().expect("no panic"))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
