//! Packages written for one measurement, each a workspace of its own under `target/bench-packages`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of this workspace.
///
/// # Panics
/// Never in this workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("benches/ stands in the workspace")
}

/// A dependency on this workspace's `vitalsign`, for [`Package::new`]; `features` as in Cargo.toml: `"record", "logs"`.
pub fn vitalsign(features: &str) -> String {
    let path = workspace().join("runtime");
    let path = path.display();
    format!("vitalsign = {{ path = \"{path}\", default-features = false, features = [{features}] }}\n")
}

/// A package on disk.
#[derive(Debug)]
pub struct Package {
    folder: PathBuf,
    target: PathBuf,
}

impl Package {
    /// Writes it: a library of that source, with these lines under `[dependencies]` and these features.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn new(name: &str, dependencies: &str, features: &str, source: &str) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
        let target = target.join("bench-packages");
        let folder = target.join("sources").join(name);
        std::fs::create_dir_all(folder.join("src")).expect("a folder under target");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[features]\n{features}\n\n\
             [dependencies]\n{dependencies}\n[workspace]\n"
        );
        // The versions of this workspace, so that peers are compared on the same ground. Cargo trims what is not used.
        let lock = std::fs::read(workspace().join("Cargo.lock")).expect("a lock file");
        write(&folder.join("Cargo.toml"), manifest.as_bytes());
        if !folder.join("Cargo.lock").exists() {
            write(&folder.join("Cargo.lock"), &lock);
        }
        write(&folder.join("src/lib.rs"), source.as_bytes());
        Self {
            folder,
            target: target.join("built"),
        }
    }

    /// `cargo COMMAND` in it.
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .arg(command)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target);
        // Flags of the surrounding run would be measured too.
        for name in [
            "RUSTFLAGS",
            "CARGO_INCREMENTAL",
            "CARGO_PROFILE_DEV_DEBUG",
            "CARGO_BUILD_JOBS",
        ] {
            cargo.env_remove(name);
        }
        cargo
    }

    /// The source file.
    pub fn source(&self) -> PathBuf {
        self.folder.join("src/lib.rs")
    }

    /// The names and versions of all crates that it builds for the host, itself left out.
    ///
    /// # Panics
    /// When cargo fails.
    pub fn crates(&self) -> Vec<String> {
        let output = self
            .cargo("tree")
            .args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
            .output();
        let output = output.expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let mut crates: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect();
        crates.sort();
        crates.dedup();
        crates
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Runs a command and shows what it said if it failed.
///
/// # Panics
/// When it fails.
pub fn run(command: &mut Command) {
    let output = command.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
