//! Real servers that tests talk to, where the machine has them.

use std::path::PathBuf;

/// The program, from PATH or from where Debian keeps PostgreSQL's. `None` where it is not installed, so that the test can say so
/// and pass.
///
/// # Panics
/// When it is not there and `VITALSIGN_REQUIRE_SERVERS=1`, as in CI.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = places
        .into_iter()
        .map(|place| place.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var("VITALSIGN_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
        assert!(!required, "{program} is not installed and VITALSIGN_REQUIRE_SERVERS=1");
        eprintln!("skipped: {program} is not installed");
    }
    found
}
