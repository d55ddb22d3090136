//! Runs that cannot look at the time: whatever holds them up, they end soon after their deadline or
//! a signal, and say so.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::websites::Website;
use sitewatch_tests::{shared, wait};

use crate::support::Prepared;

/// The deadline of these runs, the grace of eight seconds, the last words' two, and as much again
/// for a machine that has other work. Who really hangs does so for ever.
const MAX_ELAPSED: Duration = Duration::from_secs(30);

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[track_caller]
fn ended_by_force(finished: Finished, who: &str, deadline: &str) -> Finished {
    assert!(finished.elapsed < MAX_ELAPSED, "{finished}");
    finished
        .exits(75)
        .logs(&format!("{who}: still at work, or waiting for a server or a file, 8 s after its deadline ({deadline}), and ended by force; what was in hand is not done, the next run takes it up (exit code 75)\n"))
}

/// As a crontab has it: a run that hangs would hold the lock, and no other would say a word.
#[test]
fn a_file_that_never_answers_does_not_hold_the_lock_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    fifo(&path);
    let lock = directory.path().join("lock");
    let probe = Run::probe();
    let started: Vec<_> = ["SITES_FILE", "ENV_FILE"]
        .iter()
        .map(|variable| {
            Run::program("flock")
                .arg("-n")
                .arg(lock.with_extension(variable))
                .arg(probe.executable())
                .var(variable, &path)
                .var("PROBE_SINK", "stdout")
                .var("PROBE_DEADLINE", "500ms")
                .spawn()
        })
        .collect();
    // How to write the log may be in the file.
    for (run, who) in started.into_iter().zip(["ERROR probe", "probe"]) {
        ended_by_force(run.wait(), who, "PROBE_DEADLINE");
    }
    let free = File::open(lock.with_extension("SITES_FILE")).unwrap();
    free.try_lock().unwrap();
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    fifo(&path);
    for function in ["setup", "probe", "drain", "maintain", "report", "notify"] {
        let run = Run::function(function).var("ENV_FILE", &path).spawn();
        // It is there once we can open the other end without waiting for it.
        wait::until("it reads", Duration::from_secs(60), || {
            OpenOptions::new()
                .write(true)
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(&path)
                .map(std::mem::forget)
                .is_ok()
        });
        let asked = Instant::now();
        run.signal(Signal::TERM);
        run.wait().exits(75).logs(&format!("{function}: stopped by a signal while at work, or waiting for a server or a file; what was in hand is not done, the next run takes it up (exit code 75)\n"));
        assert!(asked.elapsed() < MAX_ELAPSED, "{function}");
    }
}

#[test]
fn a_database_that_never_answers_ends_no_later_than_the_deadline_allows() {
    let prepared = Prepared::new("overdue");
    let kafka = shared::kafka(Version::V4_1);
    let topic = crate::support::unique("overdue");
    kafka.create_topic(&topic, 1);
    // Whoever wants to write waits for this lock, by PostgreSQL's own time for ever.
    let mut holder = prepared.client();
    let mut transaction = holder.transaction().unwrap();
    transaction
        .batch_execute(
            "lock table kafka_offsets, checks, checks_hourly, checks_daily in access exclusive mode",
        )
        .unwrap();
    let patient = |run: Run| {
        run.var("DATABASE_LOCK_TIMEOUT", "10m")
            .var("DATABASE_STATEMENT_TIMEOUT", "10m")
    };
    let drain = patient(prepared.drain())
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_DEADLINE", "1s")
        .spawn();
    let maintain = patient(prepared.maintain())
        .var("MAINTAIN_DEADLINE", "1s")
        .spawn();
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("postgres://any@{}/any", silent.local_addr().unwrap());
    let connecting = Run::maintain()
        .var("DATABASE_URL", silent)
        .var("DATABASE_CONNECT_TIMEOUT", "10m")
        .var("MAINTAIN_DEADLINE", "1s")
        .spawn();
    ended_by_force(drain.wait(), "ERROR drain", "DRAIN_DEADLINE");
    // It asks PostgreSQL to cancel what it waits for.
    let maintain = maintain.wait().exits(75);
    assert!(maintain.elapsed < MAX_ELAPSED, "{maintain}");
    ended_by_force(connecting.wait(), "ERROR maintain", "MAINTAIN_DEADLINE");
}

/// Its log goes to a pipe that is full and that nobody empties.
#[test]
fn a_run_whose_words_nobody_takes_ends_and_its_results_are_safe() {
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fifo(&path);
    let mut log = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(&path)
        .unwrap();
    while log.write(&[b'x'; 4096]).is_ok() {}
    while log.write(b"x").is_ok() {}
    let spool = directory.path().join("spool");
    let sites: Vec<String> = (0..5)
        .map(|number| format!("{}{number}", website.url()))
        .collect();
    let run = Run::program("/bin/sh")
        .arg("-c")
        .arg("exec \"$0\" 2>\"$1\"")
        .arg(Run::probe().executable())
        .arg(&path)
        .var("SITES", sites.join(" "))
        .var("KAFKA_BROKERS", "127.0.0.1:1")
        .var("KAFKA_TIMEOUT", "50ms")
        .var("PROBE_SPOOL_DIR", &spool)
        .var("PROBE_DEADLINE", "1s")
        .run()
        .exits(75);
    assert!(run.elapsed < MAX_ELAPSED, "{run}");
    let files = fs::read_dir(&spool).unwrap();
    let lines: usize = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|text| text.lines().count())
        .sum();
    assert_eq!(lines, 5);
}
