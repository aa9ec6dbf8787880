//! Promise: 500 mixed sync and async functions returning `Result`, each with `#[traced] #[counted] #[timed]`, rebuild no slower than
//! the same 500 with `#[tracing::instrument(skip_all)]` alone.
//!
//! `cargo run --release -p benches --bin compile_time` (5 rounds each; `-- 9` for 9; `-- --quick` builds 20 functions once and
//! judges nothing). Dependencies are built first; what is
//! measured is `cargo build` after the source was touched, debug without incremental compilation and release.

use benches::package::{Package, run, vitalsign};
use std::fmt::Write as _;
use std::time::Instant;

/// What the promise is about, and what is enough to see that it is measured.
const FUNCTIONS: usize = 500;
const FEW: usize = 20;

fn main() {
    let argument = std::env::args().nth(1);
    let quick = argument.as_deref() == Some("--quick");
    let (functions, usual) = if quick { (FEW, 1) } else { (FUNCTIONS, 5) };
    let rounds = argument.and_then(|rounds| rounds.parse().ok()).unwrap_or(usual);
    let source = |header: &str, attributes: &str| source(functions, header, attributes);
    let packages = [
        ("bare", Package::new("compile-bare", "", "", &source("", ""))),
        (
            "#[tracing::instrument(skip_all)]",
            Package::new(
                "compile-instrument",
                "tracing = \"0.1.44\"\n",
                "",
                &source("", "#[tracing::instrument(skip_all)]\n"),
            ),
        ),
        (
            "#[traced] #[counted] #[timed]",
            Package::new(
                "compile-vitalsign",
                &vitalsign("\"record\""),
                "",
                &source(
                    "use vitalsign::{counted, timed, traced};\n",
                    "#[traced]\n#[counted]\n#[timed]\n",
                ),
            ),
        ),
    ];
    println!("{functions} functions rebuilt, seconds, median of {rounds} [lowest to highest]");
    let mut slower = false;
    let profiles: &[&str] = if quick { &["debug"] } else { &["debug", "release"] };
    for &profile in profiles {
        let mut times = vec![Vec::new(); packages.len()];
        for round in 0..=rounds {
            // In turn, so that a slow minute of the machine falls on all alike. The first round builds what they depend on.
            for ((_, package), times) in packages.iter().zip(&mut times) {
                let took = rebuild(package, profile);
                if round > 0 {
                    times.push(took);
                }
            }
        }
        for times in &mut times {
            times.sort_by(f64::total_cmp);
        }
        let median = |of: usize| times[of][times[of].len() / 2];
        for (of, (name, _)) in packages.iter().enumerate() {
            let ratio = median(of) / median(1);
            let (lowest, highest) = (times[of][0], times[of][times[of].len() - 1]);
            println!(
                "{profile:<8} {name:<34} {:>6.2} [{lowest:.2} to {highest:.2}]  {ratio:.2}",
                median(of)
            );
        }
        slower |= median(2) > median(1);
    }
    if slower && !quick {
        eprintln!("slower than #[tracing::instrument(skip_all)]");
        std::process::exit(1);
    }
}

fn rebuild(package: &Package, profile: &str) -> f64 {
    let source = std::fs::read(package.source()).expect("the source");
    std::fs::write(package.source(), source).expect("the source");
    let mut cargo = package.cargo("build");
    cargo.arg("--offline").env("CARGO_INCREMENTAL", "0");
    if profile == "release" {
        cargo.arg("--release");
    }
    let start = Instant::now();
    run(&mut cargo);
    start.elapsed().as_secs_f64()
}

/// Every second function is async; what they take and return differs, so that the compiler cannot fold them.
fn source(functions: usize, header: &str, attributes: &str) -> String {
    let mut text = format!("{header}#[derive(Debug)]\npub struct Failed(pub u32);\n");
    text.push_str("impl std::fmt::Display for Failed {\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, \"failed {}\", self.0) }\n}\nimpl std::error::Error for Failed {}\n");
    for index in 0..functions {
        let (taken, made) = match index % 3 {
            0 => ("value: u32", "value"),
            1 => ("text: &str", "text.len() as u32"),
            _ => ("list: Vec<u32>", "list.iter().sum::<u32>()"),
        };
        let (keyword, calls) = if index % 2 == 0 {
            ("", String::new())
        } else {
            let later = format!("    let value = std::future::ready(value ^ {index}).await;\n");
            ("async ", later)
        };
        let _ = write!(
            text,
            "{attributes}pub {keyword}fn function_{index}({taken}) -> Result<u32, Failed> {{\n    let value = {made};\n{calls}    \
             if value % 7 == {} {{\n        return Err(Failed(value));\n    }}\n    Ok(value.wrapping_mul({index}))\n}}\n",
            index % 7
        );
    }
    text
}
