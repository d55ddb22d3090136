//! Temporary directories that are gone when the test process is, however it ends.

use std::{
    env, fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::watchdog;

/// A directory of our own, removed on drop or, failing that, by the watchdog.
pub(crate) struct Directory(TempDir);

/// Where files are in memory only, on every Linux. In a container it may be small.
const MEMORY: &str = "/dev/shm";

/// More than the shared servers of a whole run of the tests write: 1 GiB of PostgreSQL's write-ahead
/// log, and what a test with 100,000 sites fills.
const ROOM: u64 = 4 << 30;

impl Directory {
    pub(crate) fn new(purpose: &str) -> io::Result<Self> {
        Self::within(&env::temp_dir(), purpose)
    }

    /// In memory where there is room: for what makes and removes files by the hundred, and whose
    /// speed is not measured.
    pub(crate) fn in_memory(purpose: &str) -> io::Result<Self> {
        let has_room = statvfs(MEMORY)
            .is_ok_and(|files| files.f_bavail.saturating_mul(files.f_frsize) >= ROOM);
        if has_room {
            Self::within(Path::new(MEMORY), purpose)
        } else {
            Self::new(purpose)
        }
    }

    fn within(parent: &Path, purpose: &str) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("sitewatch-{purpose}-"))
            .tempdir_in(parent)?;
        watchdog::watch_directory(directory.path());
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

/// Copies the files and directories below `from` to `to`, which must not exist yet.
pub(crate) fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Gives `path` and everything below it to a user.
pub(crate) fn give_all(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    chown(path, Some(uid), Some(gid))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give_all(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}
