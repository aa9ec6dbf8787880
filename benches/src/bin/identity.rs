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

/// A symbol's hash takes in the features; the code does not.
fn without_hashes(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("assembly");
    let mut clean = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.contains(".file")) {
        let mut rest = line;
        while let Some(at) = rest.find("17h") {
            let hash = rest
                .get(at + 3..at + 19)
                .filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let end = at + 3 + hash.map_or(0, str::len);
            clean.push_str(&rest[..at + 3]);
            rest = &rest[end..];
        }
        // Constants are named by a hash of their content and crate.
        let _ = writeln!(clean, "{rest}");
    }
    clean
}
