//! The Debian package, made by `cron/debian/build` of the executables that the tests run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure,
    command::Run,
    go::{run, workspace},
};

/// Makes the package in `directory`. Executables are put in as they are: a build in the profile that
/// is shipped would take minutes and show nothing more.
///
/// # Errors
/// When Debian's tools refuse, with their reasons.
pub fn build(directory: &Path) -> Result<PathBuf, Failure> {
    // Built by now, in the profile of this process.
    let setup = Run::setup();
    let executables = setup.executable().parent().expect("it is in a directory");
    run(
        "make the Debian package",
        Command::new(workspace().join("cron/debian/build"))
            .arg(executables)
            .arg(directory),
    )?;
    std::fs::read_dir(directory)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", directory.display())))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .ok_or_else(|| Failure::new("cron/debian/build made no package"))
}
