//! Batches that wait on disk while the collector is away.
//!
//! ```text
//! DIR/<process>/lock              held by the living process; free when it died, however it died
//! DIR/<process>/<time>-<n>.batch  one request: magic, signal, items, length, checksum, bytes
//! ```
//!
//! A batch is written under another name and renamed when it is whole, so at every moment a file is either not there or
//! complete; the checksum finds what the disk did to it. It is removed after the collector took it: who is killed between the
//! two sends it twice, once. What a dead process left is adopted by the next one, or by a living neighbour within a minute.

mod batch;
mod disk;
mod folder;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use batch::read;
#[cfg(any(test, fuzzing))]
pub(crate) use batch::{header, parse};

use super::diag::{Level, say};
use super::stats;
use super::transport::Signal;
use crate::config::env as config;
use bytes::Bytes;
use disk::Disk;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct Spool {
    /// What the variable named.
    root: PathBuf,
    /// This process's folder.
    disk: Disk,
    max_bytes: u64,
    /// The signals that this process sends: what dead ones left of others is not its to hold.
    sends: [bool; 3],
    state: Mutex<State>,
    /// Keeps neighbours away; freed by the system when the process ends.
    _lock: File,
}

#[derive(Default)]
struct State {
    waiting: [VecDeque<Entry>; 3],
    /// Taken out to be sent: items of this process.
    sending: [u64; 3],
    bytes: u64,
    next: u64,
    /// Items of this process that were lost here.
    lost: [u64; 3],
    adopted: Vec<Adopted>,
}

/// A dead process's folder.
struct Adopted {
    path: PathBuf,
    /// Batches of it that wait or are being sent.
    left: usize,
    _lock: File,
}

/// One batch on disk.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    path: PathBuf,
    /// Orders batches by age.
    name: String,
    signal: Signal,
    pub(crate) count: u64,
    /// What it takes of the disk.
    size: u64,
    /// Left by another process: not in this one's account.
    pub(crate) adopted: bool,
}

impl Spool {
    /// Makes a place for this process and adopts what dead ones left of the signals that it sends. The error is for a person.
    pub(crate) fn open(config: &config::Spool, sends: [bool; 3]) -> Result<Self, String> {
        let root = config.dir.as_path();
        let failed = |error: io::Error| {
            format!(
                "VITALSIGN_SPOOL_DIR={}: {error}; batches wait in memory only. Name a folder that can be written to",
                root.display()
            )
        };
        private(root).map_err(failed)?;
        if let Some(strangers) = folder::strangers(root) {
            say(
                Level::Warn,
                format_args!(
                    "VITALSIGN_SPOOL_DIR={} holds what is not the spool's ({strangers}); it is left alone. Name a folder that nothing \
                     else uses",
                    root.display()
                ),
            );
        }
        let mut tries = 0..TRIES;
        let spool = loop {
            let own = root.join(format!("{:020}-{}", unix_nanos(), std::process::id()));
            match Self::make(config, sends, &own) {
                Ok(spool) => break spool,
                Err(error) => {
                    folder::remove(&own);
                    if !is_mistaken(&error) || tries.next().is_none() {
                        return Err(failed(error));
                    }
                }
            }
        };
        spool.adopt();
        Ok(spool)
    }

    fn make(config: &config::Spool, sends: [bool; 3], own: &Path) -> io::Result<Self> {
        private(own)?;
        let spool = Self {
            root: config.dir.clone(),
            max_bytes: config.max_bytes,
            sends,
            state: Mutex::default(),
            _lock: folder::lock(own)?,
            disk: Disk::new(&config.dir, own.to_owned(), config.sync)?,
        };
        // A full disk or a read-only one is found now, not in the first outage.
        spool.probe()?;
        Ok(spool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.disk.write("probe", "probe.part", &[batch::MAGIC])?;
        fs::remove_file(path)
    }

    /// Writes a batch behind all others; the oldest go where it needs their room. `written` is called in the moment from which on it is
    /// [`pending`](Self::pending) here.
    pub(crate) fn write(&self, signal: Signal, body: &[u8], count: u64, written: impl FnOnce()) -> io::Result<()> {
        let entry = self.add(signal, body, count)?;
        let mut state = self.state();
        state.waiting[signal as usize].push_back(entry);
        written();
        Ok(())
    }

    /// Writes a batch that is being sent already: it counts as taken out.
    pub(crate) fn write_taken(&self, signal: Signal, body: &[u8], count: u64) -> io::Result<Entry> {
        let entry = self.add(signal, body, count)?;
        self.state().sending[signal as usize] += count;
        Ok(entry)
    }

    fn add(&self, signal: Signal, body: &[u8], count: u64) -> io::Result<Entry> {
        let size = on_disk((batch::HEADER + body.len()) as u64);
        if size > self.max_bytes {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than VITALSIGN_SPOOL_MAX_BYTES",
            ));
        }
        let name = self.reserve(size);
        let (whole, unfinished) = folder::names(&name);
        let header = batch::header(signal, body, count);
        let path = self
            .disk
            .write(&whole, &unfinished, &[&header, body])
            .inspect_err(|_| {
                let mut state = self.state();
                state.bytes -= size;
                stats::SPOOL_BYTES.set(state.bytes);
                stats::SPOOL_UNWRITTEN.add(1);
            })?;
        stats::SPOOL_WRITTEN.add(1);
        Ok(Entry {
            path,
            name,
            signal,
            count,
            size,
            adopted: false,
        })
    }

    /// Room for a batch, and its name.
    fn reserve(&self, size: u64) -> String {
        let mut state = self.state();
        let evicted = self.make_room(&mut state, size);
        state.bytes += size;
        state.next += 1;
        stats::SPOOL_BYTES.set(state.bytes);
        let name = format!("{:020}-{:06}", unix_nanos(), state.next);
        drop(state);
        evicted.iter().for_each(Entry::remove);
        name
    }

    /// Files wait for [`sync`](Self::sync).
    pub(crate) fn is_unsynced(&self) -> bool {
        self.disk.is_unsynced()
    }

    /// Brings what was written to the disk. The error is for a person.
    pub(crate) fn sync(&self) -> Result<(), String> {
        self.disk.sync().map_err(|error| {
            format!(
                "VITALSIGN_SPOOL_DIR={}: {error} while it was synced; should this machine stop, batches written there may be lost. Look at \
                 the disk, or name a folder on another",
                self.root.display()
            )
        })
    }

    /// What has to go for it; the files are the caller's to remove, without the lock.
    fn make_room(&self, state: &mut State, size: u64) -> Vec<Entry> {
        let mut evicted = Vec::new();
        while state.bytes + size > self.max_bytes {
            let oldest = Signal::ALL
                .into_iter()
                .filter(|signal| !state.waiting[*signal as usize].is_empty())
                .min_by(|a, b| {
                    state.waiting[*a as usize][0]
                        .name
                        .cmp(&state.waiting[*b as usize][0].name)
                });
            let Some(entry) = oldest.and_then(|signal| state.waiting[signal as usize].pop_front()) else {
                break;
            };
            Self::forget(state, &entry);
            if !entry.adopted {
                state.lost[entry.signal as usize] += entry.count;
            }
            stats::SPOOL_EVICTED.add(1);
            evicted.push(entry);
        }
        evicted
    }

    /// Its file is gone, or will be.
    fn forget(state: &mut State, entry: &Entry) {
        state.bytes = state.bytes.saturating_sub(entry.size);
        if entry.adopted
            && let Some(folder) = entry.path.parent()
            && let Some(adopted) = state.adopted.iter_mut().find(|adopted| adopted.path == folder)
        {
            adopted.left = adopted.left.saturating_sub(1);
        }
        stats::SPOOL_BYTES.set(state.bytes);
    }

    /// The oldest batch of a signal, and its bytes. Those that are not what was written are counted and gone; what can not be read
    /// now stays.
    pub(crate) fn take(&self, signal: Signal) -> io::Result<Option<(Entry, Bytes)>> {
        loop {
            let entry = {
                let mut state = self.state();
                let Some(entry) = state.waiting[signal as usize].pop_front() else {
                    return Ok(None);
                };
                if !entry.adopted {
                    state.sending[signal as usize] += entry.count;
                }
                entry
            };
            match batch::read(&entry.path) {
                Ok((_, _, body)) => return Ok(Some((entry, body))),
                Err(error) if batch::is_lost(&error) => self.lose(&entry),
                Err(error) => {
                    self.put_back(entry);
                    return Err(error);
                }
            }
        }
    }

    fn lose(&self, entry: &Entry) {
        let signal = entry.signal as usize;
        stats::SPOOL_CORRUPT.add(1);
        entry.remove();
        let mut state = self.state();
        Self::forget(&mut state, entry);
        if !entry.adopted {
            state.sending[signal] -= entry.count;
            state.lost[signal] += entry.count;
        }
    }

    /// The collector has it, or will never take it.
    pub(crate) fn done(&self, entry: &Entry) {
        entry.remove();
        let mut state = self.state();
        Self::forget(&mut state, entry);
        if !entry.adopted {
            state.sending[entry.signal as usize] -= entry.count;
        }
        state.adopted.retain(Adopted::is_kept);
    }

    /// It goes back to the front.
    pub(crate) fn put_back(&self, entry: Entry) {
        let mut state = self.state();
        let signal = entry.signal as usize;
        if !entry.adopted {
            state.sending[signal] -= entry.count;
        }
        state.waiting[signal].push_front(entry);
    }

    /// Batches of a signal that wait.
    pub(crate) fn backlog(&self, signal: Signal) -> usize {
        self.state().waiting[signal as usize].len()
    }

    /// Items of this process that wait or are being sent, and in the same moment those on their way here.
    pub(crate) fn pending(&self, signal: Signal, coming: impl FnOnce() -> u64) -> u64 {
        let state = self.state();
        let own = state.waiting[signal as usize].iter().filter(|entry| !entry.adopted);
        own.map(|entry| entry.count).sum::<u64>() + state.sending[signal as usize] + coming()
    }

    /// Items of this process that were lost here: no room, or not readable any more.
    pub(crate) fn lost(&self, signal: Signal) -> u64 {
        self.state().lost[signal as usize]
    }

    /// Takes over what dead processes left.
    pub(crate) fn adopt(&self) {
        let Ok(folders) = fs::read_dir(&self.root) else { return };
        for entry in folders.flatten() {
            let path = entry.path();
            let known = path == self.disk.folder() || self.state().adopted.iter().any(|adopted| adopted.path == path);
            if known || !folder::is_ours(&entry.file_name().to_string_lossy()) || !path.is_dir() {
                continue;
            }
            // A living process holds it.
            let Ok(lock) = folder::lock(&path) else { continue };
            let mut entries = folder::batches(&path);
            entries.retain(|entry| self.sends[entry.signal as usize]);
            let left = entries.len();
            let mut state = self.state();
            state.bytes += entries.iter().map(|entry| entry.size).sum::<u64>();
            entries.extend(state.waiting.iter_mut().flat_map(std::mem::take));
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            for entry in entries {
                state.waiting[entry.signal as usize].push_back(entry);
            }
            state.adopted.push(Adopted {
                path,
                left,
                _lock: lock,
            });
            let evicted = self.make_room(&mut state, 0);
            stats::SPOOL_BYTES.set(state.bytes);
            drop(state);
            evicted.iter().for_each(Entry::remove);
            self.state().adopted.retain(Adopted::is_kept);
        }
    }

    /// The end: takes this process's folder away if nothing waits in it.
    pub(crate) fn leave(&self) {
        let state = self.state();
        if state.waiting.iter().all(VecDeque::is_empty) && state.sending.iter().all(|items| *items == 0) {
            folder::remove(self.disk.folder());
        }
    }
}

impl Entry {
    fn remove(&self) {
        // A file that can not be removed would be sent again by the next process; that is all.
        let _ = fs::remove_file(&self.path);
    }
}

impl Adopted {
    /// False when it is empty, and gone. Somebody else's file in it keeps the folder, not our hold on it.
    fn is_kept(&self) -> bool {
        if self.left == 0 {
            folder::remove(&self.path);
        }
        self.left > 0
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.leave();
    }
}

/// How often a place is looked for where neighbours that start in the same moment take it for that of a dead process.
const TRIES: u32 = 20;

/// A neighbour found the new folder before it was locked: it holds it, or has taken it away.
fn is_mistaken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotFound)
}

/// A folder that nobody else looks into.
fn private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What a file takes of a disk: whole blocks. Counted so, a folder of many small batches is no larger than it may be.
const fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64
}
