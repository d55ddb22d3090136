//! What is fetched or built once per machine: in `$SITEWATCH_CACHE`, `$XDG_CACHE_HOME/sitewatch` or
//! `~/.cache/sitewatch`, each directory there complete or not at all.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::Failure;

/// The directory of that name, filled by `fill` if this machine has never had it. Processes that
/// want it at the same time wait for the first.
pub(crate) fn directory(
    name: &str,
    fill: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let directory = place()?.join(name);
    let failed = |what: &str, error: std::io::Error| {
        Failure::new(format!("cannot {what} {}: {error}", directory.display()))
    };
    let parent = directory.parent().expect("it was joined to one");
    fs::create_dir_all(parent).map_err(|error| failed("make the parent of", error))?;
    // Held to the end of this function, and by the kernel only: nothing is left by a crash.
    let lock = File::create(parent.join(format!("{name}.lock")))
        .map_err(|error| failed("make the lock of", error))?;
    lock.lock().map_err(|error| failed("lock", error))?;
    if !directory.is_dir() {
        let fresh = tempfile::Builder::new()
            .prefix(".fresh-")
            .tempdir_in(parent)
            .map_err(|error| failed("make a directory beside", error))?;
        fill(fresh.path())?;
        fs::rename(fresh.keep(), &directory).map_err(|error| failed("make", error))?;
    }
    Ok(directory)
}

fn place() -> Result<PathBuf, Failure> {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    from("SITEWATCH_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(from("XDG_CACHE_HOME")?).join("sitewatch")))
        .or_else(|| Some(PathBuf::from(from("HOME")?).join(".cache/sitewatch")))
        .ok_or_else(|| {
            Failure::new(
                "no place to keep what is fetched: set SITEWATCH_CACHE, XDG_CACHE_HOME or HOME",
            )
        })
}
