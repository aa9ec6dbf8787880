//! What stands in the folder that the variable names: the processes' own folders, their batches, and what is somebody else's.

use super::batch::{Head, is_lost};
use super::{Entry, on_disk};
use crate::export::diag::tame;
use crate::export::stats;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

const SUFFIX: &str = ".batch";
const UNFINISHED: &str = ".part";
const LOCK: &str = "lock";

/// The names of a batch: whole, and until it is.
pub(super) fn names(stem: &str) -> (String, String) {
    (format!("{stem}{SUFFIX}"), format!("{stem}{UNFINISHED}"))
}

/// `<20 digits>-<digits>`.
pub(super) fn is_ours(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('-')
        .is_some_and(|(time, rest)| time.len() == 20 && digits(time) && digits(rest))
}

/// Held by the living process; free when it died, however it died.
pub(super) fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Takes an empty folder of a process away. Somebody else's file in it keeps it.
pub(super) fn remove(folder: &Path) {
    let _ = fs::remove_file(folder.join(LOCK));
    let _ = fs::remove_dir(folder);
}

/// The batches in a dead process's folder. Unfinished ones are removed, foreign files left alone.
pub(super) fn batches(folder: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (file.path(), file.file_name().to_string_lossy().into_owned());
        if name.strip_suffix(UNFINISHED).is_some_and(is_ours) {
            let _ = fs::remove_file(path);
            continue;
        }
        let Some(stem) = name.strip_suffix(SUFFIX).filter(|stem| is_ours(stem)) else {
            continue;
        };
        match Head::read(&path) {
            Ok(head) => entries.push(Entry {
                name: stem.to_owned(),
                signal: head.signal,
                count: head.count,
                size: on_disk(head.size()),
                adopted: true,
                path,
            }),
            Err(error) if is_lost(&error) => {
                stats::SPOOL_CORRUPT.add(1);
                let _ = fs::remove_file(path);
            }
            // Left to who can read it.
            Err(_) => {}
        }
    }
    entries
}

/// The first names in `root` that are not ours, for a person; `None` where it is a folder of our own. Hidden files, and what file
/// systems put at their top themselves, are in nobody's way.
pub(super) fn strangers(root: &Path) -> Option<String> {
    const SHOWN: usize = 3;
    let names = fs::read_dir(root).ok()?.flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names
        .filter(|name| !is_ours(name) && !name.starts_with('.') && name != "lost+found")
        .collect();
    names.sort_unstable();
    let shown = names
        .iter()
        .take(SHOWN)
        .map(|name| tame(name))
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        0 => None,
        1..=SHOWN => Some(shown),
        more => Some(format!("{shown} and {} more", more - SHOWN)),
    }
}
