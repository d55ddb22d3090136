//! Temporary folders that are gone when the test process is, however it ends.

use std::{
    fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::watchdog;

/// A folder of our own, removed on drop or, failing that, by the watchdog.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(purpose: &str) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("sitewatch-{purpose}-"))
            .tempdir()?;
        watchdog::watch_folder(folder.path());
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

/// Copies the files and folders below `from` to `to`, which must not exist yet.
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
