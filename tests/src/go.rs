//! Programs in Go: judges that are written in it, built once per machine and kept in the cache.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{Failure, cache};

/// The program whose sources are `tests/NAME`, built when those are new to this machine.
pub(crate) fn build(name: &str) -> Result<PathBuf, Failure> {
    let sources = workspace().join("tests").join(name);
    let mut hasher = DefaultHasher::new();
    for file in ["go.mod", "go.sum", "main.go"] {
        fs::read(sources.join(file))
            .map_err(|error| Failure::new(format!("cannot read tests/{name}/{file}: {error}")))?
            .hash(&mut hasher);
    }
    let directory = cache::directory(&format!("{name}-{:016x}", hasher.finish()), |fresh| {
        run(
            &format!("build tests/{name} with Go (see tests/install.sh)"),
            Command::new("go")
                .args(["build", "-trimpath", "-o"])
                .arg(fresh.join(name))
                .arg(".")
                .current_dir(&sources),
        )
        .map(drop)
    })?;
    Ok(directory.join(name))
}

/// Puts the program of a module, `PATH@VERSION`, into `directory`, built with these tags.
pub(crate) fn install(package: &str, tags: &str, directory: &Path) -> Result<(), Failure> {
    run(
        &format!("build {package} with Go (see tests/install.sh)"),
        Command::new("go")
            .args(["install", "-trimpath", "-tags", tags, package])
            .env("GOBIN", directory)
            .env("CGO_ENABLED", "0")
            // Of no module of ours.
            .current_dir(directory),
    )
    .map(drop)
}

/// Runs a command to its end; what it says is part of the failure.
pub(crate) fn run(purpose: &str, command: &mut Command) -> Result<Output, Failure> {
    let output = command
        .output()
        .map_err(|error| Failure::new(format!("cannot {purpose}: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Failure::with_log(
        format!("cannot {purpose}: {}", output.status),
        &String::from_utf8_lossy(&text),
    ))
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate is a directory of the workspace")
}
