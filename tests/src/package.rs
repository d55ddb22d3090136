//! The Debian package, made by `cargo-deb` of the executables that the tests run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Failure, cache, command::Run};

/// Pinned, so that it is the same everywhere.
const CARGO_DEB: &str = "3.8.0";

/// Makes `directory/sitewatch.deb`. Executables are put in as they are: a release build of its own
/// would take minutes and show nothing more.
///
/// # Errors
/// When `cargo-deb` cannot be had or refuses, with its reasons.
pub fn build(directory: &Path) -> Result<PathBuf, Failure> {
    let tool = cache::directory(&format!("cargo-deb-{CARGO_DEB}"), |fresh| {
        run(
            "install cargo-deb",
            Command::new(cargo())
                .args(["install", "--quiet", "--locked", "cargo-deb"])
                .args(["--version", CARGO_DEB, "--root"])
                .arg(fresh)
                // Unoptimized: it runs once, and is built in half the time.
                .arg("--debug")
                .env_remove("CARGO_TARGET_DIR"),
        )
    })?;
    // Built by now, in the profile of this process.
    let executable = Run::setup().executable().to_owned();
    let profile = executable.parent().expect("it is in a directory");
    let target = profile.parent().expect("profiles are in a directory");
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let package = directory.join("sitewatch.deb");
    run(
        "make the Debian package",
        Command::new(tool.join("bin/cargo-deb"))
            .args(["deb", "--quiet", "--no-build", "--no-strip", "--fast"])
            .args(["--package", "setup", "--profile", name, "--output"])
            .arg(&package)
            .env("CARGO_TARGET_DIR", target)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))),
    )?;
    Ok(package)
}

fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn run(purpose: &str, command: &mut Command) -> Result<(), Failure> {
    let output = command
        .output()
        .map_err(|error| Failure::new(format!("cannot {purpose}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::with_log(
        format!("cannot {purpose}: {}", output.status),
        &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()),
    ))
}
