//! Executables are run as a scheduler runs them, and what they did is told exactly.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use sitewatch_tests::command::{Finished, Run, Signal};

fn shell(script: &str) -> Run {
    Run::program("/bin/sh").arg("-c").arg(script)
}

#[test]
fn code_output_and_time_are_kept() {
    let finished = shell("echo out; echo err >&2; sleep 0.1; exit 3")
        .run()
        .exits(3)
        .stdout_is("out\n")
        .stderr_is("err\n");
    assert!(finished.elapsed >= Duration::from_millis(100));
    assert!(finished.elapsed < sitewatch_tests::wait::SOON);
}

#[test]
fn a_signal_is_no_exit_code() {
    let running = shell("echo ready >&2; exec sleep 60").spawn();
    running.wait_for_stderr("ready");
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!((finished.code, finished.signal), (None, Some(15)));
}

#[test]
fn the_environment_is_what_the_test_says() {
    let finished = shell("env | cut -d= -f1 | sort; pwd >&2; ls -A >&2")
        .var("KAFKA_BROKERS", "here")
        .run();
    let shells_own = ["PWD", "SHLVL", "_", "OLDPWD"];
    let names: Vec<&str> = finished
        .stdout
        .lines()
        .filter(|name| !shells_own.contains(name) && !["HOME", "TMPDIR"].contains(name))
        .collect();
    assert_eq!(names, ["KAFKA_BROKERS", "PATH", "SSL_CERT_FILE"]);
    assert_eq!(
        finished.stderr.lines().count(),
        1,
        "an empty directory: {finished}"
    );
}

#[test]
fn standard_input_is_given_however_long_and_whether_read_or_not() {
    let text = "line\n".repeat(100_000);
    shell("cat")
        .stdin(text.clone())
        .run()
        .exits(0)
        .stdout_is(&text);
    shell("exit 0").stdin(text).run().exits(0);
}

#[test]
fn a_log_is_compared_without_its_times() {
    let said =
        "2026-11-25T03:00:12.345Z WARN  one: 1 left in 1 min 2 s\n  kept in 3 files\nin 8 ms\n";
    shell("cat >&2")
        .stdin(said)
        .run()
        .logs("WARN  one: 1 left\n  kept in 3 files\nin 8 ms\n");
}

#[test]
fn a_run_that_hangs_fails_with_what_it_said() {
    let hangs = AssertUnwindSafe(|| {
        shell("echo so far; exec sleep 60")
            .timeout(Duration::from_millis(300))
            .run()
    });
    let message = panic::catch_unwind(hangs).unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("still running after"), "{message}");
    assert!(message.contains("so far"), "{message}");
}

#[test]
fn a_different_result_is_told_with_all_output() {
    let differs = |check: fn(Finished) -> Finished| {
        let finished = shell("echo out; echo err >&2; exit 3").run();
        let message = panic::catch_unwind(AssertUnwindSafe(|| check(finished))).unwrap_err();
        message.downcast_ref::<String>().unwrap().clone()
    };
    for message in [
        differs(|finished| finished.exits(0)),
        differs(|finished| finished.stdout_is("other\n")),
        differs(|finished| finished.stderr_is("other\n")),
        differs(|finished| finished.logs("other\n")),
        differs(|finished| finished.stdout_has("other")),
        differs(|finished| finished.stderr_has("other")),
    ] {
        assert!(message.contains("exited with 3"), "{message}");
        assert!(message.contains("--- stdout ---\nout\n"), "{message}");
        assert!(message.contains("--- stderr ---\nerr\n"), "{message}");
    }
}

#[test]
fn dropping_a_running_process_kills_it() {
    let running = shell("sleep 60 & wait").spawn();
    let pid = running.pid();
    assert!(super::cleanup::is_alive(pid));
    drop(running);
    assert!(!super::cleanup::is_alive(pid));
}

#[test]
fn every_function_is_built_and_found() {
    for run in [Run::probe(), Run::drain(), Run::setup(), Run::report()] {
        let finished = run.arg("--version").run();
        assert!(finished.code.is_some(), "it {finished}");
    }
}
