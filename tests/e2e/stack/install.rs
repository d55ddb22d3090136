//! The script that installs what a machine lacks says nothing when it lacks nothing.

use std::{os::unix::fs::symlink, path::Path};

use sitewatch_tests::command::Run;

fn script() -> Run {
    Run::program(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh"))
}

#[test]
fn it_is_silent_where_these_tests_run() {
    script().run().exits(0).stdout_is("").stderr_is("");
}

#[test]
fn without_a_way_to_install_it_says_what_is_missing() {
    // Enough to run the script, and none of the tools it looks for on PATH. Some are looked for
    // beside it.
    let path = tempfile::tempdir().unwrap();
    symlink("/bin/bash", path.path().join("bash")).unwrap();
    let finished = script()
        .var("PATH", path.path())
        .run()
        .exits(1)
        .stdout_is("");
    for part in [
        "Missing to build Sitewatch and to run its tests:\n  - a C compiler and make\n",
        "  - Java 17 or newer\n  - Maven (mvn)\n",
        "  apt-get install build-essential pkg-config libssl-dev zlib1g-dev ",
        " default-jre-headless maven ",
        " systemd util-linux ",
        " golang-go python3-venv npm prometheus prometheus-alertmanager chromium\n",
    ] {
        assert!(
            finished.stderr.contains(part),
            "{part:?} is not in what it {finished}"
        );
    }
}
