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

use super::stats;
use super::transport::Signal;
use crate::config::env as config;
use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const MAGIC: &[u8; 8] = b"vsspool1";
/// Magic, signal, items, length, checksum.
const HEADER: usize = 8 + 1 + 8 + 8 + 4;
/// Requests are no larger; a header that says so is a lie.
const MAX_BODY: u64 = 64 << 20;
const SUFFIX: &str = ".batch";
const LOCK: &str = "lock";

pub(crate) struct Spool {
    /// What the variable named.
    root: PathBuf,
    /// This process's.
    own: PathBuf,
    max_bytes: u64,
    sync: config::SpoolSync,
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
    /// Written and not synced.
    unsynced: Vec<PathBuf>,
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
    size: u64,
    /// Left by another process: not in this one's account.
    pub(crate) adopted: bool,
}

impl Spool {
    /// Makes a place for this process under `root` and adopts what dead ones left. The error is for a person.
    pub(crate) fn open(config: &config::Spool) -> Result<Self, String> {
        let root = config.dir.as_path();
        let failed = |error: io::Error| {
            format!(
                "VITALSIGN_SPOOL_DIR={}: {error}; batches wait in memory only. Name a folder that can be written to",
                root.display()
            )
        };
        let private = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        private(root).map_err(failed)?;
        let own = root.join(format!("{:020}-{}", unix_nanos(), std::process::id()));
        private(&own).map_err(failed)?;
        let lock = lock(&own).map_err(failed)?;
        let spool = Self {
            root: root.to_owned(),
            own,
            max_bytes: config.max_bytes,
            sync: config.sync,
            state: Mutex::default(),
            _lock: lock,
        };
        // A full disk or a read-only one is found now, not in the first outage.
        spool.probe().map_err(failed)?;
        spool.adopt();
        Ok(spool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.own.join("probe");
        fs::write(&path, MAGIC)?;
        fs::remove_file(path)
    }

    /// Writes a batch behind all others; the oldest go where it needs their room.
    pub(crate) fn write(&self, signal: Signal, body: &[u8], count: u64) -> io::Result<()> {
        let entry = self.add(signal, body, count)?;
        self.state().waiting[signal as usize].push_back(entry);
        Ok(())
    }

    /// Writes a batch that is being sent already: it counts as taken out.
    pub(crate) fn write_taken(&self, signal: Signal, body: &[u8], count: u64) -> io::Result<Entry> {
        let entry = self.add(signal, body, count)?;
        self.state().sending[signal as usize] += count;
        Ok(entry)
    }

    fn add(&self, signal: Signal, body: &[u8], count: u64) -> io::Result<Entry> {
        let size = (HEADER + body.len()) as u64;
        if size > self.max_bytes {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than VITALSIGN_SPOOL_MAX_BYTES",
            ));
        }
        let name = self.reserve(size);
        let path = self.own.join(format!("{name}{SUFFIX}"));
        if let Err(error) = self.write_whole(&name, &path, &[&header(signal, body, count), body]) {
            let mut state = self.state();
            state.bytes -= size;
            stats::SPOOL_BYTES.set(state.bytes);
            stats::SPOOL_IO.add(1);
            return Err(error);
        }
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
        self.make_room(&mut state, size);
        state.bytes += size;
        state.next += 1;
        stats::SPOOL_BYTES.set(state.bytes);
        format!("{:020}-{:06}", unix_nanos(), state.next)
    }

    /// Under another name until it is whole.
    fn write_whole(&self, name: &str, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let part = self.own.join(format!("{name}.part"));
        let write = || {
            let mut file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&part)?;
            for bytes in parts {
                file.write_all(bytes)?;
            }
            // What a killed process wrote survives it anyway; this is for the machine that stops.
            if self.sync == config::SpoolSync::Always {
                file.sync_data()?;
            }
            fs::rename(&part, path)?;
            match self.sync {
                // Without the folder the file may be there under its old name only.
                config::SpoolSync::Always => File::open(&self.own)?.sync_all()?,
                config::SpoolSync::Second => self.state().unsynced.push(path.to_owned()),
                config::SpoolSync::Never => {}
            }
            Ok(())
        };
        // It waits in memory then: what is left here would be sent a second time.
        write().inspect_err(|_| {
            let _ = fs::remove_file(&part);
            let _ = fs::remove_file(path);
        })
    }

    /// Files wait for [`sync`](Self::sync).
    pub(crate) fn is_unsynced(&self) -> bool {
        !self.state().unsynced.is_empty()
    }

    /// Brings what was written to the disk. Those sent meanwhile are gone; a disk that fails says so at the next write.
    pub(crate) fn sync(&self) {
        let unsynced = std::mem::take(&mut self.state().unsynced);
        for path in unsynced {
            let _ = File::open(path).and_then(|file| file.sync_data());
        }
        let _ = File::open(&self.own).and_then(|folder| folder.sync_all());
    }

    fn make_room(&self, state: &mut State, size: u64) {
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
                return;
            };
            Self::forget(state, &entry);
            if !entry.adopted {
                state.lost[entry.signal as usize] += entry.count;
            }
            stats::SPOOL_EVICTED.add(1);
        }
    }

    /// Takes the file away and its size off.
    fn forget(state: &mut State, entry: &Entry) {
        // A file that can not be removed would be sent again by the next process; that is all.
        let _ = fs::remove_file(&entry.path);
        state.bytes = state.bytes.saturating_sub(entry.size);
        if entry.adopted
            && let Some(folder) = entry.path.parent()
            && let Some(adopted) = state.adopted.iter_mut().find(|adopted| adopted.path == folder)
        {
            adopted.left = adopted.left.saturating_sub(1);
        }
        stats::SPOOL_BYTES.set(state.bytes);
    }

    /// The oldest batch of a signal, and its bytes. Those that can not be read are counted and gone.
    pub(crate) fn take(&self, signal: Signal) -> Option<(Entry, Bytes)> {
        loop {
            let entry = {
                let mut state = self.state();
                let entry = state.waiting[signal as usize].pop_front()?;
                if !entry.adopted {
                    state.sending[signal as usize] += entry.count;
                }
                entry
            };
            if let Ok((_, _, body)) = read(&entry.path) {
                return Some((entry, body));
            }
            stats::SPOOL_CORRUPT.add(1);
            let mut state = self.state();
            Self::forget(&mut state, &entry);
            if !entry.adopted {
                state.sending[signal as usize] -= entry.count;
                state.lost[signal as usize] += entry.count;
            }
        }
    }

    /// The collector has it, or will never take it.
    pub(crate) fn done(&self, entry: &Entry) {
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

    /// Items of this process that wait or are being sent.
    pub(crate) fn pending(&self, signal: Signal) -> u64 {
        let state = self.state();
        let own = state.waiting[signal as usize].iter().filter(|entry| !entry.adopted);
        own.map(|entry| entry.count).sum::<u64>() + state.sending[signal as usize]
    }

    /// Items of this process that were lost here: no room, or not readable any more.
    pub(crate) fn lost(&self, signal: Signal) -> u64 {
        self.state().lost[signal as usize]
    }

    /// Takes over what dead processes left.
    pub(crate) fn adopt(&self) {
        let Ok(folders) = fs::read_dir(&self.root) else { return };
        for folder in folders.flatten() {
            let path = folder.path();
            let known = path == self.own || self.state().adopted.iter().any(|adopted| adopted.path == path);
            if known || !is_ours(&folder.file_name().to_string_lossy()) || !path.is_dir() {
                continue;
            }
            // A living process holds it.
            let Ok(lock) = lock(&path) else { continue };
            let mut entries = entries(&path);
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
            self.make_room(&mut state, 0);
            state.adopted.retain(Adopted::is_kept);
            stats::SPOOL_BYTES.set(state.bytes);
        }
    }

    /// The end: takes this process's folder away if nothing waits in it.
    pub(crate) fn leave(&self) {
        let state = self.state();
        if state.waiting.iter().all(VecDeque::is_empty) && state.sending.iter().all(|items| *items == 0) {
            let _ = fs::remove_file(self.own.join(LOCK));
            let _ = fs::remove_dir(&self.own);
        }
    }
}

impl Adopted {
    /// False when it is empty, and gone. Somebody else's file in it keeps the folder, not our hold on it.
    fn is_kept(&self) -> bool {
        if self.left == 0 {
            let _ = fs::remove_file(self.path.join(LOCK));
            let _ = fs::remove_dir(&self.path);
        }
        self.left > 0
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.leave();
    }
}

/// `<20 digits>-<digits>`.
fn is_ours(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('-')
        .is_some_and(|(time, rest)| time.len() == 20 && digits(time) && digits(rest))
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// The batches in a dead process's folder. Unfinished ones are removed, foreign files left alone.
fn entries(folder: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (file.path(), file.file_name().to_string_lossy().into_owned());
        if let Some(stem) = name.strip_suffix(".part")
            && is_ours(stem)
        {
            let _ = fs::remove_file(path);
            continue;
        }
        let Some(stem) = name.strip_suffix(SUFFIX).filter(|stem| is_ours(stem)) else {
            continue;
        };
        if let Ok((signal, count, size)) = read_header(&path) {
            entries.push(Entry {
                path,
                name: stem.to_owned(),
                signal,
                count,
                size,
                adopted: true,
            });
        } else {
            stats::SPOOL_CORRUPT.add(1);
            let _ = fs::remove_file(path);
        }
    }
    entries
}

pub(crate) fn header(signal: Signal, body: &[u8], count: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8] = signal as u8;
    header[9..17].copy_from_slice(&count.to_le_bytes());
    header[17..25].copy_from_slice(&(body.len() as u64).to_le_bytes());
    let checksum = checksum(&header[..25], body);
    header[25..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(head);
    crc.update(body);
    crc.sum()
}

/// Signal, items, and the size of the whole file, which must be what the header says.
fn read_header(path: &Path) -> io::Result<(Signal, u64, u64)> {
    let mut file = File::open(path)?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let (signal, count, length) = parse_header(&header)?;
    let size = HEADER as u64 + length;
    if file.metadata()?.len() != size {
        return Err(corrupt());
    }
    Ok((signal, count, size))
}

fn parse_header(header: &[u8; HEADER]) -> io::Result<(Signal, u64, u64)> {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| header[at + n]));
    let signal = Signal::ALL
        .into_iter()
        .find(|signal| *signal as u8 == header[8])
        .ok_or_else(corrupt)?;
    let (count, length) = (number(9), number(17));
    if header[..8] != *MAGIC || length > MAX_BODY || count > length {
        return Err(corrupt());
    }
    Ok((signal, count, length))
}

/// A batch, whole and as it was written, or an error.
pub(crate) fn read(path: &Path) -> io::Result<(Signal, u64, Bytes)> {
    // The head first: a file of any size may stand there.
    read_header(path)?;
    parse(&fs::read(path)?.into())
}

/// The same from the bytes of a file.
pub(crate) fn parse(bytes: &Bytes) -> io::Result<(Signal, u64, Bytes)> {
    let head = bytes.first_chunk::<HEADER>().ok_or_else(corrupt)?;
    let (signal, count, length) = parse_header(head)?;
    let body = bytes.slice(HEADER..);
    if body.len() as u64 != length || head[25..] != checksum(&head[..25], &body).to_le_bytes() {
        return Err(corrupt());
    }
    Ok((signal, count, body))
}

fn corrupt() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no whole batch")
}

fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            let unique = format!("vitalsign-spool-{}-{}", std::process::id(), unix_nanos());
            Self(std::env::temp_dir().join(unique))
        }

        fn config(&self, max_bytes: u64) -> config::Spool {
            config::Spool {
                dir: self.0.clone(),
                max_bytes,
                sync: config::SpoolSync::Always,
            }
        }

        fn open(&self) -> Spool {
            Spool::open(&self.config(1 << 20)).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(root: &Path) -> Vec<PathBuf> {
        let folders = fs::read_dir(root).unwrap().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        let mut files: Vec<_> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some())
            .collect();
        files.sort();
        files
    }

    #[test]
    fn first_in_first_out_by_signal() {
        let dir = Dir::new();
        let spool = dir.open();
        for (signal, body) in [
            (Signal::Traces, "one"),
            (Signal::Logs, "two"),
            (Signal::Traces, "three"),
        ] {
            spool.write(signal, body.as_bytes(), 2).unwrap();
        }
        assert_eq!((spool.backlog(Signal::Traces), spool.pending(Signal::Traces)), (2, 4));
        let (entry, body) = spool.take(Signal::Traces).unwrap();
        assert_eq!((&body[..], spool.pending(Signal::Traces)), (&b"one"[..], 4));
        spool.put_back(entry);
        let (entry, body) = spool.take(Signal::Traces).unwrap();
        assert_eq!(&body[..], b"one");
        spool.done(&entry);
        assert_eq!(spool.pending(Signal::Traces), 2);
        let (entry, body) = spool.take(Signal::Traces).unwrap();
        assert_eq!(&body[..], b"three");
        spool.done(&entry);
        assert!(spool.take(Signal::Traces).is_none() && spool.take(Signal::Logs).is_some());
    }

    #[test]
    fn the_next_process_adopts_what_is_left_and_a_neighbour_does_not() {
        let dir = Dir::new();
        let first = dir.open();
        first.write(Signal::Traces, b"left", 3).unwrap();
        let neighbour = dir.open();
        assert_eq!(neighbour.backlog(Signal::Traces), 0, "its process lives");
        drop(first);
        neighbour.adopt();
        assert_eq!(
            (neighbour.backlog(Signal::Traces), neighbour.pending(Signal::Traces)),
            (1, 0)
        );
        let (entry, body) = neighbour.take(Signal::Traces).unwrap();
        assert_eq!((&body[..], entry.count), (&b"left"[..], 3));
        neighbour.done(&entry);
        drop(neighbour);
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let dir = Dir::new();
        let spool = Spool::open(&dir.config(300)).unwrap();
        for n in 0..5_u8 {
            spool.write(Signal::Traces, &[n; 100], 10).unwrap();
        }
        assert_eq!((spool.backlog(Signal::Traces), spool.lost(Signal::Traces)), (2, 30));
        assert_eq!(spool.take(Signal::Traces).unwrap().1[0], 3);
        assert!(spool.write(Signal::Traces, &[0; 400], 1).is_err());
    }

    #[test]
    fn files_that_are_cut_flipped_or_forged_are_skipped() {
        let dir = Dir::new();
        let spool = dir.open();
        spool.write(Signal::Traces, b"some bytes of a batch", 1).unwrap();
        let path = files(&dir.0).remove(0);
        let whole = fs::read(&path).unwrap();
        assert!(read(&path).is_ok());
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(read(&path).is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                fs::write(&path, &flipped).unwrap();
                assert!(read(&path).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        fs::write(&path, &longer).unwrap();
        assert!(read(&path).is_err());
        // In its own process and in the next.
        assert!(spool.take(Signal::Traces).is_none());
        assert_eq!(spool.lost(Signal::Traces), 1);
        spool.write(Signal::Traces, b"x", 1).unwrap();
        let path = files(&dir.0).remove(0);
        fs::write(&path, b"garbage").unwrap();
        drop(spool);
        assert_eq!(dir.open().backlog(Signal::Traces), 0);
    }

    #[test]
    fn somebody_else_s_files_stay() {
        let dir = Dir::new();
        fs::create_dir_all(dir.0.join("photos")).unwrap();
        fs::write(dir.0.join("photos/a.batch"), b"mine").unwrap();
        fs::write(dir.0.join("notes.txt"), b"mine").unwrap();
        let first = dir.open();
        fs::write(first.own.join("note"), b"mine").unwrap();
        drop(first);
        drop(dir.open());
        assert_eq!(fs::read(dir.0.join("photos/a.batch")).unwrap(), b"mine");
        assert_eq!(fs::read(dir.0.join("notes.txt")).unwrap(), b"mine");
    }

    #[test]
    fn a_path_that_is_a_file_is_an_error_that_names_the_variable() {
        let dir = Dir::new();
        fs::write(&dir.0, b"").unwrap();
        let error = Spool::open(&dir.config(1 << 20)).err().unwrap();
        assert!(
            error.starts_with("VITALSIGN_SPOOL_DIR=") && error.contains("in memory only"),
            "{error}"
        );
        fs::remove_file(&dir.0).unwrap();
    }

    #[test]
    fn a_folder_that_vanishes_is_an_error_not_a_panic() {
        let dir = Dir::new();
        let spool = dir.open();
        fs::remove_dir_all(&dir.0).unwrap();
        assert!(spool.write(Signal::Logs, b"x", 1).is_err());
        assert_eq!(spool.backlog(Signal::Logs), 0);
    }
}
