//! Temporary directories that are gone when the test process is, however it ends.

use std::{
    env, fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::watchdog;

/// A directory of our own, removed on drop or, failing that, by the watchdog.
pub(crate) struct Directory(TempDir);

/// Where files are in memory only, on every Linux. In a container it may be small.
const MEMORY: &str = "/dev/shm";

/// More than the servers of a whole run of the tests write: 1 GiB of PostgreSQL's write-ahead log,
/// and what a test with 100,000 sites fills.
const ROOM: u64 = 4 << 30;

static ON_DISK: AtomicBool = AtomicBool::new(false);

/// From now on servers keep their data on disk: for who measures them.
pub fn keep_on_disk() {
    ON_DISK.store(true, Ordering::Relaxed);
}

impl Directory {
    pub(crate) fn new(purpose: &str) -> io::Result<Self> {
        Self::within(&env::temp_dir(), purpose)
    }

    /// For a server's data, files made and removed by the hundred: in memory where there is room,
    /// unless [`keep_on_disk`] was called.
    pub(crate) fn of_server(purpose: &str) -> io::Result<Self> {
        let has_room = statvfs(MEMORY)
            .is_ok_and(|files| files.f_bavail.saturating_mul(files.f_frsize) >= ROOM);
        if has_room && !ON_DISK.load(Ordering::Relaxed) {
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
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
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
