//! Files that sites name. Whoever writes a list of sites must not choose among all files of the
//! machine, nor hold up a run with one that never ends: they are regular files of bounded size in
//! one directory of the operator's.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// The largest file that is read, in bytes: seventy times the CA certificates of all browsers, and
/// a body to be posted may be larger than those.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Reads a file of the directory, which is named without it or with it. Links are followed as long
/// as they stay inside: Kubernetes mounts secrets as such.
///
/// # Errors
/// Why not, to follow the file's name.
pub(crate) fn read_inside(directory: &Path, name: &Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    };
    let directory = fs::canonicalize(directory)
        .map_err(|error| format!("{}: {}", directory.display(), told(error)))?;
    let path = fs::canonicalize(directory.join(name)).map_err(told)?;
    if !path.starts_with(&directory) {
        return Err(format!("it is not inside {}", directory.display()));
    }
    let irregular = || "it is no regular file".to_owned();
    // Before it is opened: opening a device may do something already.
    if !fs::symlink_metadata(&path).map_err(told)?.is_file() {
        return Err(irregular());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
        .open(&path)
        .map_err(told)?;
    if !file.metadata().map_err(told)?.is_file() {
        return Err(irregular());
    }
    let mut content = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut content)
        .map_err(told)?;
    if content.len() as u64 > MAX_FILE {
        return Err("it is larger than 16MiB".to_owned());
    }
    Ok(content)
}
