//! Building the functions before they are run, once per test process, so that none is stale.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The executable of the function in `functions/NAME`.
pub(super) fn executable(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let path = DIRECTORY.get_or_init(build_all).join(name);
    assert!(
        path.is_file(),
        "functions/{name} made no executable at {}",
        path.display()
    );
    path
}

/// Builds every function in the profile of this very process, and returns where they are.
fn build_all() -> PathBuf {
    let directory = profile_directory();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        // The one profile whose directory has another name.
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} names no profile", directory.display()),
    };
    // `cargo test` names the cargo it is; a test started by hand takes the one on PATH.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        // The same selection as `tests/run.sh`: another one would unify features otherwise, and
        // compile half the dependencies a second time.
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--profile",
            profile,
        ])
        .current_dir(workspace());
    // What `cargo test` tells its processes about this package: a build script that reads it would
    // run again, and what depends on it would be compiled again, here and by the next `cargo test`.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|told| name.starts_with(told))
        {
            command.env_remove(&*name);
        }
    }
    if let Some(target) = directory.parent() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output().expect("start cargo");
    assert!(
        output.status.success(),
        "the functions do not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory
}

/// `target/debug`, when this is `target/debug/deps/e2e-0123`.
fn profile_directory() -> PathBuf {
    let here = env::current_exe().expect("know where this executable is");
    let parent = here.parent().expect("an executable is in a directory");
    // Tests and benchmarks are in `deps`, examples in `examples`, the demo beside the functions.
    match parent.file_name().and_then(|name| name.to_str()) {
        Some("deps" | "examples") => parent.parent().unwrap_or(parent).to_owned(),
        _ => parent.to_owned(),
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate is a directory of the workspace")
}
