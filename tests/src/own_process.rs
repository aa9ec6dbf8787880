//! A test that needs a process of its own, because it installs vitalsign or a subscriber, in a program that holds more tests.
//!
//! So tests of one topic are one program to link, and not one each. [`own_process!`](crate::own_process!) as the first line of a
//! test runs the same program once more for that test alone.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Says to the program which of its tests it runs; what starts programs of its own passes it on.
const ALONE: &str = "VITALSIGN_TEST_ALONE";

/// Longer than any of them takes on a machine that builds beside.
const LIMIT: Duration = Duration::from_secs(300);

/// As the first line of a test: the rest of it runs in another process, alone, and what that says is said here.
#[macro_export]
macro_rules! own_process {
    () => {
        fn here() {}
        if $crate::own_process::runs_elsewhere(::std::any::type_name_of_val(&here)) {
            return;
        }
    };
}

/// Runs the test in which `here` stands in a process of its own; false in that process.
///
/// # Panics
/// When the test fails there, or has not ended in five minutes.
#[must_use]
pub fn runs_elsewhere(here: &str) -> bool {
    let name = test(here);
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return false;
    }
    // One after the other, as when each was a program that cargo ran.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // To a file: what the test started may outlive it and hold a pipe open.
    let path = std::env::temp_dir().join(format!("vitalsign-{}-{}", std::process::id(), name.replace("::", "-")));
    let file = std::fs::File::create(&path).expect("a file for its output");
    let child = Command::new(std::env::current_exe().expect("the test's own program"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, name)
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("the file once more"))
        .stderr(file)
        .spawn();
    let mut elsewhere = Elsewhere {
        child: child.expect("the test's own program starts"),
        path,
    };
    let status = crate::wait_for(name, LIMIT, || elsewhere.child.try_wait().ok().flatten());
    let said = elsewhere.said();
    assert!(
        status.success() && said.contains("test result: ok. 1 passed"),
        "{name} in a process of its own: {status}\n{said}"
    );
    true
}

/// The process, killed where the test is given up, and what it said until then.
struct Elsewhere {
    child: Child,
    path: PathBuf,
}

impl Elsewhere {
    fn said(&self) -> String {
        std::fs::read(&self.path).map_or_else(
            |error| error.to_string(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            println!("{}", self.said());
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `program::module::test::here`, in an async test with `{{closure}}` before the end, to `module::test`.
fn test(here: &str) -> &str {
    let path = here.split_once("::").map_or(here, |(_, path)| path);
    let path = path.strip_suffix("::here").unwrap_or(path);
    path.split("::{{").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::test;

    #[test]
    fn the_name_of_the_test_is_read_off_the_path() {
        assert_eq!(test("health::probes::it_works::here"), "probes::it_works");
        assert_eq!(test("health::probes::it_works::{{closure}}::here"), "probes::it_works");
        assert_eq!(test("readme::it_runs::here"), "it_runs");
    }

    #[test]
    fn a_test_runs_in_another_process() {
        let parent = std::env::var(super::ALONE).ok();
        crate::own_process!();
        assert!(parent.is_some_and(|test| test.ends_with("a_test_runs_in_another_process")));
    }
}
