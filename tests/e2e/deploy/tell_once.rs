//! `cron/tell-once`, as cron runs it: what a person is told of a failure that lasts, and when. The
//! clock is a `date` of the test's; everything else is the machine's own.

use std::fs;
use std::path::Path;

use sitewatch_tests::command::{Finished, Run};

use super::set_mode;
use crate::documents::root;

/// What a run of the command prints and ends with.
type Said<'a> = (&'a str, i32);

const WELL: Said<'_> = ("", 0);
const LOCKED: Said<'_> = ("", 1);
const UNREACHABLE: Said<'_> = (
    "2026-11-25T03:00:12.345Z ERROR drain: cannot reach PostgreSQL at 127.0.0.1:5432: connection refused, after 12 ms (exit code 69)",
    69,
);
/// The same, a minute later.
const UNREACHABLE_STILL: Said<'_> = (
    "2026-11-25T03:01:09.001Z ERROR drain: cannot reach PostgreSQL at 127.0.0.1:5432: connection refused, after 1.32 s (exit code 69)",
    69,
);
const SPOOLED: Said<'_> = (
    "2026-11-25T03:01:09.001Z WARN  probe: 3 checks: 2 up, 1 down, 3 spooled, cannot reach Kafka at localhost:9092 in 61 ms",
    75,
);
const SPOOLED_STILL: Said<'_> = (
    "2026-11-25T03:02:09.001Z WARN  probe: 12 checks: 9 up, 1 down, 2 unknown, 12 spooled, cannot reach Kafka at localhost:9092 in 1 min 2 s",
    75,
);
const RESULT: Said<'_> = ("{\"v\":1,\"site\":\"one\"}", 69);

struct Cron {
    directory: tempfile::TempDir,
    now: u64,
}

impl Cron {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("bin")).unwrap();
        let clock = path("clock");
        let date = format!(
            "#!/bin/sh\ncase \"$*\" in +%s) cat {0};; *) exec /bin/date \"$@\" -d @$(cat {0});; esac\n",
            clock.display()
        );
        fs::write(path("bin/date"), date).unwrap();
        set_mode(&path("bin/date"), 0o755);
        let command = format!(
            "#!/bin/sh\ncat {0}/said >&2\nexit $(cat {0}/code)\n",
            directory.path().display()
        );
        fs::write(path("bin/function"), command).unwrap();
        set_mode(&path("bin/function"), 0o755);
        // 2026-11-25 03:00 UTC.
        Self {
            directory,
            now: 1_795_575_600,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// The run of so many minutes later.
    fn after(&mut self, minutes: u64, said: Said<'_>) -> Finished {
        self.now += minutes * 60;
        let state = self.path("told");
        self.run(&state, said)
    }

    fn run(&self, state: &Path, (text, code): Said<'_>) -> Finished {
        let line = if text.is_empty() { "" } else { "\n" };
        fs::write(self.path("clock"), self.now.to_string()).unwrap();
        fs::write(self.path("said"), format!("{text}{line}")).unwrap();
        fs::write(self.path("code"), code.to_string()).unwrap();
        Run::program("/bin/sh")
            .arg(root().join("cron/tell-once"))
            .arg(state)
            .arg(self.path("bin/function"))
            .bare()
            .var(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("bin").display()),
            )
            .run()
            .exits(code)
            .stderr_is("")
    }
}

#[test]
fn a_lasting_failure_is_told_at_once_every_hour_and_when_it_is_over() {
    let mut cron = Cron::new();
    let line = |(text, _): Said<'_>| format!("{text}\n");
    cron.after(0, WELL).stdout_is("");
    cron.after(1, UNREACHABLE).stdout_is(&line(UNREACHABLE));
    for _ in 0..58 {
        cron.after(1, UNREACHABLE_STILL).stdout_is("");
    }
    cron.after(1, UNREACHABLE_STILL).stdout_is(&format!(
        "{}\nIn trouble since 2026-11-25T03:01Z; runs that said the same and were not told: 58.\n",
        UNREACHABLE_STILL.0
    ));
    cron.after(1, UNREACHABLE).stdout_is("");
    // Not over yet: what fails every other minute fails.
    cron.after(1, WELL).stdout_is("");
    cron.after(1, UNREACHABLE).stdout_is("");
    // Another run that has the lock says nothing of either kind.
    cron.after(9, LOCKED).stdout_is("");
    cron.after(1, WELL).stdout_is(
        "Well again. In trouble since 2026-11-25T03:01Z; runs that were not told: 60.\n",
    );
    cron.after(1, WELL).stdout_is("");
    assert!(!cron.path("told").exists());
    cron.after(1, UNREACHABLE).stdout_is(&line(UNREACHABLE));
}

#[test]
fn another_failure_is_told_at_once_and_no_result_is_held_back() {
    let mut cron = Cron::new();
    let first = |said: Said<'_>| format!("{}\n", said.0);
    cron.after(0, SPOOLED).stdout_is(&first(SPOOLED));
    cron.after(1, SPOOLED_STILL).stdout_is("");
    let told = cron.after(1, UNREACHABLE);
    told.stdout_has(&first(UNREACHABLE));
    // The same words with another code, and back: each was told within the hour.
    cron.after(1, (UNREACHABLE.0, 75)).stdout_has(UNREACHABLE.0);
    for said in [SPOOLED, UNREACHABLE, SPOOLED_STILL, UNREACHABLE_STILL] {
        cron.after(1, said).stdout_is("");
    }
    for _ in 0..2 {
        cron.after(1, RESULT).stdout_has(RESULT.0);
    }
    // A function of every hour starts some seconds sooner or later.
    let mut hourly = Cron::new();
    hourly.after(0, UNREACHABLE).stdout_has(UNREACHABLE.0);
    hourly.now -= 20;
    hourly.after(60, UNREACHABLE).stdout_has(UNREACHABLE.0);
}

#[test]
fn without_a_place_to_remember_everything_is_told() {
    let mut cron = Cron::new();
    let nowhere = cron.path("missing/told");
    for _ in 0..2 {
        cron.now += 60;
        cron.run(&nowhere, UNREACHABLE)
            .stdout_has(UNREACHABLE.0)
            .stdout_has("so everything is told");
        cron.run(&nowhere, WELL).stdout_is("");
    }
    // Nor by what it did not write itself.
    for content in ["", "nonsense", "trouble x y z", "told 69 1 99999999999"] {
        fs::write(cron.path("told"), content).unwrap();
        cron.after(1, UNREACHABLE).stdout_has(UNREACHABLE.0);
        cron.after(1, UNREACHABLE_STILL).stdout_is("");
    }
}
