//! Clippy, pedantic and all, finds nothing in annotated functions.

use std::process::Command;

#[test]
fn clippy_is_silent_about_annotated_functions() {
    let output = Command::new(env!("CARGO"))
        .args(["clippy", "-q", "--no-deps", "-p", "ui-renamed"])
        .current_dir("renamed")
        // Its own folder: the tests' own is locked while they are built.
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/clippy"))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
