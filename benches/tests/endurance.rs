//! The quick forms of the programs of endurance. The long ones:
//!
//! ```console
//! $ cargo run --release -p benches --bin soak -- --minutes 60
//! $ cargo run --release -p benches --bin outage -- --minutes 5
//! $ cargo run --release -p benches --bin kills -- --times 200
//! ```
//!
//! They run side by side, whatever the number of test threads, so that all of it takes as long as the soak.

use benches::load::programs::{PROGRAMS, Program};
use std::process::Command;

/// Where cargo put it.
fn executable(program: &Program) -> &'static str {
    match program.name {
        "soak" => env!("CARGO_BIN_EXE_soak"),
        "outage" => env!("CARGO_BIN_EXE_outage"),
        "kills" => env!("CARGO_BIN_EXE_kills"),
        other => panic!("{other} has no row here"),
    }
}

/// What it printed where it failed.
fn run(program: &str, arguments: &str) -> Option<String> {
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
    let runs = PROGRAMS.iter().flat_map(|program| {
        let quick = program.quick.iter();
        quick.map(|arguments| (executable(program), *arguments))
    });
    let runs: Vec<_> = runs
        .map(|(program, arguments)| std::thread::spawn(move || run(program, arguments)))
        .collect();
    let failed: Vec<_> = runs
        .into_iter()
        .filter_map(|run| run.join().expect("no panic"))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_a_program_does_not_know_it_refuses() {
    for program in &PROGRAMS {
        let wrong = ["--minuets 5", "--seed", "--rate many", "5"];
        for wrong in wrong {
            assert!(
                program.understands(wrong.split(' ')).is_err(),
                "{}: {wrong}",
                program.name
            );
        }
        let output = Command::new(executable(program))
            .arg("--loud")
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("`--loud` is none of"));
    }
}
