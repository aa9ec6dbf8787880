//! Promise: built without the feature `record`, the emitted machine code equals the bare function's.
//!
//! `cargo run -p benches --bin identity` compiles one source twice, with the attributes and without, and compares the assembly.

use benches::package::{Package, run, vitalsign};
use std::fmt::Write as _;
use std::path::Path;

const SOURCE: &str = include_str!("../identity_source.rs");

fn main() {
    let package = Package::new("identity", &vitalsign(""), "annotated = []", SOURCE);
    let (bare, annotated) = (assembly(&package, false), assembly(&package, true));
    let functions = bare
        .lines()
        .filter(|line| line.starts_with("compared_") && line.ends_with(':'))
        .count();
    assert!(functions > 0, "nothing to compare");
    if let Some((line, (left, right))) = bare
        .lines()
        .zip(annotated.lines())
        .enumerate()
        .find(|(_, (left, right))| left != right)
    {
        eprintln!("line {line}\n  bare       {left}\n  annotated  {right}");
        std::process::exit(1);
    }
    assert_eq!(bare.len(), annotated.len(), "one is longer");
    println!(
        "equal: {} lines of assembly, {functions} functions and what they call",
        bare.lines().count()
    );
}

fn assembly(package: &Package, annotated: bool) -> String {
    let file = package
        .source()
        .with_file_name(if annotated { "annotated.s" } else { "bare.s" });
    let mut emit = std::ffi::OsString::from("asm=");
    emit.push(&file);
    let mut cargo = package.cargo("rustc");
    cargo.arg("--release");
    if annotated {
        cargo.args(["--features", "annotated"]);
    }
    // Touched, or cargo finds nothing to do and writes nothing.
    let _ = std::fs::write(package.source(), SOURCE);
    run(cargo.args(["--", "-Ccodegen-units=1", "--emit"]).arg(emit));
    without_hashes(&file)
}

/// The names of symbols and constants hold a hash that takes in the features; the code does not.
fn without_hashes(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("assembly");
    let mut clean = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.contains(".file")) {
        let line = without_digits_after(line, "17h", 16);
        let _ = writeln!(clean, "{}", without_digits_after(&line, ".Lanon.", 32));
    }
    clean
}

fn without_digits_after(line: &str, mark: &str, digits: usize) -> String {
    let mut parts = line.split(mark);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hash = part
            .get(..digits)
            .filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        clean.push_str(mark);
        clean.push_str(&part[hash.map_or(0, str::len)..]);
    }
    clean
}
