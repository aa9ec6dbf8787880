//! Programs of the workspace, run as a user runs them.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The folder of the workspace.
///
/// # Panics
/// Never in this workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in the workspace")
}

/// Builds a package's program and says where it is.
///
/// # Panics
/// When it does not build.
pub fn build(package: &str) -> PathBuf {
    build_with(package, &[])
}

/// The same with further arguments for cargo.
///
/// # Panics
/// When it does not build.
pub fn build_with(package: &str, arguments: &[&str]) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", package, "--message-format=json"])
        .args(arguments)
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{package} does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .unwrap_or_else(|| panic!("{package} has no program"))
}

/// That program, without what the test's own environment says to it.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text.starts_with("VITALSIGN_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
}

/// A running program whose output is kept. It is killed with the value, unless it has ended.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            keep(stdout, Arc::clone(&lines));
        }
        if let Some(stderr) = child.stderr.take() {
            keep(stderr, Arc::clone(&lines));
        }
        Self { child, lines }
    }

    /// Standard output and error so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line for which `pick` has an answer.
    ///
    /// # Panics
    /// With all output when there is none in time.
    #[track_caller]
    pub fn line<T>(&self, what: &str, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + limit;
        loop {
            let lines = self.lines();
            if let Some(found) = lines.iter().find_map(|line| pick(line)) {
                return found;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "no {what} within {limit:?} in:\n{}",
                lines.join("\n")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as an orchestrator does, and waits.
    ///
    /// # Panics
    /// When it has not ended in time.
    #[track_caller]
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        self.wait(limit)
    }

    /// Waits for it to end.
    ///
    /// # Panics
    /// When it has not ended in time.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        crate::wait_for("the process to end", limit, || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(stream: impl std::io::Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
