//! The ways to run the functions on a schedule: `cron/` and `k8s/`, taken as they stand.

mod builds;
mod by_hand;
mod compose;
mod connect;
mod connect_schema;
mod cron;
mod kubernetes;
mod systemd;
mod tell_once;
mod workflows;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, os::unix::fs::chown};

use sitewatch::settings::ALL;
use sitewatch_tests::command::Run;

use crate::documents::{named_in_help, root};

/// Where the executables are, as every manifest has it.
const BIN: &str = "/usr/lib/sitewatch/bin";

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Whether a function reads this variable, under its name, another one, or as `NAME_FILE`.
fn reads(function: &str, name: &str) -> bool {
    let help = named_in_help(function);
    ALL.iter()
        .filter(|variable| help.contains(variable.name))
        .any(|variable| {
            variable.name == name
                || variable.aliases.contains(&name)
                || variable.file_name().is_some_and(|file| file == name)
        })
}

/// A directory that other users may look into, unlike a temporary directory's default.
fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o755);
    directory
}

/// The executables in a directory of their own: the one they were built in may be closed to others.
fn install(functions: &[&str], directory: &Path) -> PathBuf {
    let bin = directory.join("bin");
    fs::create_dir(&bin).unwrap();
    for function in functions {
        fs::copy(Run::function(function).executable(), bin.join(function)).unwrap();
    }
    bin
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Root's file, which the group of this user may read and nobody else.
fn write_secret(path: &Path, content: &str, group: u32) {
    fs::write(path, content).unwrap();
    set_mode(path, 0o640);
    if is_root() {
        chown(path, Some(0), Some(group)).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
