//! Folders for spools, and a reader of their files that shares no code with the one under test.

use super::collector::numbers;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder that goes with the value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one below the system's place for such.
    #[must_use]
    pub fn new() -> Self {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        Self(std::env::temp_dir().join(format!("vitalsign-load-{}-{nanos}", std::process::id())))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is left in it.
    #[must_use]
    pub fn left(&self) -> Vec<PathBuf> {
        let paths = |folder: &Path| {
            fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
        };
        paths(&self.0)
            .flat_map(|folder| paths(&folder).chain([folder.clone()]).collect::<Vec<_>>())
            .collect()
    }

    /// Whether a batch is left in it.
    #[must_use]
    pub fn has_batches(&self) -> bool {
        let batch = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "batch");
        self.left().iter().any(batch)
    }

    /// The numbers of the spans in its batches.
    ///
    /// # Errors
    /// Names the batch that is torn.
    pub fn numbers(&self) -> Result<Vec<u64>, String> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let path = file.path();
                if path.extension().is_some_and(|extension| extension == "batch") {
                    match fs::read(&path) {
                        Ok(bytes) => all.extend(batch(&bytes).map_err(|why| format!("{}: {why}", path.display()))?),
                        // Sent meanwhile.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(format!("{}: {error}", path.display())),
                    }
                }
            }
        }
        Ok(all)
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Magic (8 bytes), signal (1), items (8), length (8), checksum (4), body.
fn batch(bytes: &[u8]) -> Result<Vec<u64>, &'static str> {
    let (head, body) = bytes.split_at_checked(29).ok_or("no whole head")?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| head[at + n]));
    if !head.starts_with(b"vsspool1") || number(17) != body.len() as u64 {
        return Err("cut");
    }
    let mut crc = flate2::Crc::new();
    crc.update(&head[..25]);
    crc.update(body);
    if crc.sum().to_le_bytes() != head[25..] {
        return Err("flipped");
    }
    if head[8] != 0 {
        return Ok(Vec::new());
    }
    let numbers = numbers(body);
    if numbers.len() as u64 == number(9) {
        Ok(numbers)
    } else {
        Err("another number of spans than it says")
    }
}
