//! Real servers that tests talk to, where the machine has them.

use std::path::PathBuf;

/// The program, from PATH or from where Debian keeps those of `PostgreSQL`. `None` where it is not installed, so that the test can say so
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

/// User and group id of a user whom servers that refuse root run as; `None` where we are not root.
///
/// # Panics
/// When we are root and the user does not exist.
pub fn user_of(name: &str) -> Option<(u32, u32)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    if uid.and_then(|uid| uid.split_whitespace().next()) != Some("0") {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        is_it.then_some((uid, gid))
    });
    Some(found.unwrap_or_else(|| panic!("no user {name}")))
}

/// A folder of its own, gone with the value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// In the system's place for such.
    ///
    /// # Panics
    /// When it cannot be made.
    #[expect(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "vitalsign-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
