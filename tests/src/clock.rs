//! Processes whose clock is wrong, by libfaketime: the product has no switch for it, and needs none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a process is given so that its clock is as far off as `file` says at each moment: `+100d`,
/// `-2h`. Intervals are measured as ever: only the time of day is wrong.
///
/// # Panics
/// When libfaketime is not installed.
pub(crate) fn variables(file: &Path) -> [(&'static str, PathBuf); 4] {
    [
        ("LD_PRELOAD", library()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_owned()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
}

/// Gives the variables to a process that is about to be started.
pub(crate) fn give(command: &mut Command, file: &Path) {
    command.envs(variables(file));
}

/// The build of the library for processes with threads, wherever the system keeps it.
fn library() -> PathBuf {
    let directories = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .chain(["/usr/lib".into(), "/usr/lib64".into()]);
    directories
        .map(|directory| directory.join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.is_file())
        .expect("libfaketime is not installed: run tests/install.sh")
}
