//! Files that are whole or not there, and on the disk when the policy says.

use crate::config::env::SpoolSync;
use crate::export::stats;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One process's folder, as it is written to.
pub(super) struct Disk {
    folder: PathBuf,
    policy: SpoolSync,
    /// Written and not synced.
    unsynced: Mutex<Vec<PathBuf>>,
}

impl Disk {
    /// The folder was made in `root` just now.
    pub(super) fn new(root: &Path, folder: PathBuf, policy: SpoolSync) -> io::Result<Self> {
        if policy != SpoolSync::Never {
            // A folder that is gone after a crash takes with it what was synced inside.
            sync_folder(root)?;
        }
        Ok(Self {
            folder,
            policy,
            unsynced: Mutex::default(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of the folder, under another name until it is whole.
    pub(super) fn write(&self, name: &str, unfinished: &str, parts: &[&[u8]]) -> io::Result<PathBuf> {
        let (path, part) = (self.folder.join(name), self.folder.join(unfinished));
        self.write_and_rename(&part, &path, parts).inspect_err(|_| {
            // It waits in memory then: what is left here would be sent a second time.
            let _ = fs::remove_file(&part);
            let _ = fs::remove_file(&path);
        })?;
        Ok(path)
    }

    fn write_and_rename(&self, part: &Path, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(part)?;
        for bytes in parts {
            file.write_all(bytes)?;
        }
        // What a killed process wrote survives it anyway; this is for the machine that stops.
        if self.policy == SpoolSync::Always {
            synced(file.sync_data())?;
        }
        fs::rename(part, path)?;
        match self.policy {
            // Without the folder the file may be there under its old name only.
            SpoolSync::Always => sync_folder(&self.folder),
            SpoolSync::Second => {
                self.unsynced().push(path.to_owned());
                Ok(())
            }
            SpoolSync::Never => Ok(()),
        }
    }

    fn unsynced(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files wait for [`sync`](Self::sync).
    pub(super) fn is_unsynced(&self) -> bool {
        !self.unsynced().is_empty()
    }

    /// Brings what was written to the disk; the first failure, when all of it was tried.
    pub(super) fn sync(&self) -> io::Result<()> {
        let unsynced = std::mem::take(&mut *self.unsynced());
        let file = |path| match File::open(path) {
            Ok(file) => synced(file.sync_data()),
            // Sent meanwhile.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        let files = unsynced.iter().map(file).fold(Ok(()), Result::and);
        files.and(sync_folder(&self.folder))
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    synced(File::open(folder)?.sync_all())
}

fn synced(result: io::Result<()>) -> io::Result<()> {
    let stat = if result.is_ok() {
        &stats::SPOOL_SYNCED
    } else {
        &stats::SPOOL_UNSYNCED
    };
    stat.add(1);
    result
}
