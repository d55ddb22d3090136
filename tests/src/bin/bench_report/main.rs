//! How fast `report` and `maintain` are on a history of 10,000 sites.
//!
//! `tests/bench.sh report [rounds]`; prints a line a run. `BENCH_KEEP=true` leaves the server up
//! until Enter is pressed, and prints its address.
#![allow(clippy::print_stdout, reason = "showing figures is what it is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark of the machine reads the machine's environment"
)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sitewatch_tests::postgres::{Database, Postgres};
use wait4::Wait4 as _;

/// The history.
const FILL: &str = include_str!("fill.sql");

fn main() {
    let rounds: u32 = std::env::args().nth(1).map_or(3, |text| {
        text.parse().expect("wants a whole number: [rounds]")
    });
    // The defaults, but for room to fill the database in a reasonable time.
    let postgres = Postgres::options().set("max_wal_size", "16GB").start();
    let database = postgres.create_database("bench");
    report_run(
        "setup",
        &run(&function("setup", &database, &[("SETUP_TOPIC", "false")])),
    );
    let began = Instant::now();
    fill(&database);
    println!(
        "filled in {:.0} s: {} checks, {} hours and {} days of sites, {} outages",
        began.elapsed().as_secs_f64(),
        count(&database, "checks"),
        count(&database, "checks_hourly"),
        count(&database, "checks_daily"),
        count(&database, "outages_hourly"),
    );
    let keep_old: &[(&str, &str)] = &[("MAINTAIN_KEEP_CHECKS", "120d")];
    report_run(
        "maintain, 12 hours pending",
        &run(&function("maintain", &database, keep_old)),
    );
    database.client().batch_execute("vacuum analyze").unwrap();
    for _ in 0..rounds {
        mark_an_hour(&database);
        report_run(
            "maintain, an hour of 600,000 checks",
            &run(&function("maintain", &database, keep_old)),
        );
    }
    report_run(
        "maintain, nothing to do",
        &run(&function("maintain", &database, keep_old)),
    );
    if std::env::var_os("BENCH_KEEP").is_some() {
        println!("kept: {}", database.url());
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
    database.client().batch_execute("vacuum analyze").unwrap();
    reports(&database, rounds);
    report_run(
        "maintain, a day of 14,400,000 checks dropped",
        &run(&function("maintain", &database, &[])),
    );
    println!("{} checks are left", count(&database, "checks"));
    reports(&database, rounds);
}

fn reports(database: &Database, rounds: u32) {
    let folder = tempfile::tempdir().expect("make a temporary folder");
    let page = folder.path().join("page.html").display().to_string();
    let metrics = folder.path().join("sites.prom").display().to_string();
    for (name, variables) in [
        ("report, table", vec![]),
        (
            "report, incidents of 7 days",
            vec![("REPORT_KIND", "incidents")],
        ),
        (
            "report, html",
            vec![("REPORT_FORMAT", "html"), ("REPORT_OUTPUT", page.as_str())],
        ),
        (
            "report, prometheus",
            vec![
                ("REPORT_FORMAT", "prometheus"),
                ("REPORT_OUTPUT", metrics.as_str()),
            ],
        ),
    ] {
        for _ in 0..rounds {
            report_run(name, &run(&function("report", database, &variables)));
        }
    }
    for path in [page, metrics] {
        if let Ok(file) = std::fs::metadata(&path) {
            println!(
                "{:.1} MB in {}",
                file.len() as f64 / 1e6,
                path.rsplit('/').next().unwrap()
            );
        }
    }
}

/// A whole hour has to be done again, as after a late check.
fn mark_an_hour(database: &Database) {
    database
        .client()
        .batch_execute(
            "insert into dirty_hours (hour) values (date_trunc('hour', now(), 'UTC') - interval '3 hours')",
        )
        .unwrap();
}

fn fill(database: &Database) {
    let mut child = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-o",
            "/dev/null",
            "-v",
            "ON_ERROR_STOP=1",
            database.url(),
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("start psql");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), FILL.as_bytes()).unwrap();
    let ended = child.wait().expect("wait for psql");
    assert!(ended.success(), "psql ended with {ended}");
}

fn count(database: &Database, table: &str) -> i64 {
    database
        .client()
        .query_one(&format!("select count(*) from {table}"), &[])
        .unwrap()
        .get(0)
}

/// What a process took.
struct Taken {
    wall: Duration,
    cpu: Duration,
    memory_mb: f64,
}

fn report_run(name: &str, taken: &Taken) {
    println!(
        "{name:<46} {:>7.3} s wall, {:>6.3} s CPU of its own, {:>5.1} MB",
        taken.wall.as_secs_f64(),
        taken.cpu.as_secs_f64(),
        taken.memory_mb
    );
}

struct Function {
    path: PathBuf,
    variables: Vec<(String, String)>,
}

fn function(name: &str, database: &Database, variables: &[(&str, &str)]) -> Function {
    let here = std::env::current_exe().expect("know where this program is");
    Function {
        path: here.parent().expect("a program is in a folder").join(name),
        variables: [
            ("LOG_LEVEL", "warn"),
            ("DATABASE_URL", database.url()),
            // The history ends when it was made.
            ("REPORT_STALE_AFTER", "1d"),
        ]
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect(),
    }
}

fn run(function: &Function) -> Taken {
    let began = Instant::now();
    let mut child = Command::new(&function.path)
        .env_clear()
        .envs(function.variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("start the function");
    let id = child.id();
    // What wait4 tells of memory counts this program too, as it was before the other's began.
    let peak = std::thread::spawn(move || peak_memory(id));
    let used = child.wait4().expect("wait for the function");
    let wall = began.elapsed();
    assert!(
        used.status.success(),
        "{} ended with {}",
        function.path.display(),
        used.status
    );
    Taken {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        memory_mb: peak.join().expect("watch the function's memory"),
    }
}

/// The most memory a process held, asked for until it is gone, in megabytes.
fn peak_memory(process: u32) -> f64 {
    let mut peak_kib = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        let high_water = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(high_water) = high_water else { break };
        peak_kib = high_water
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(peak_kib);
        std::thread::sleep(Duration::from_millis(2));
    }
    f64::from(peak_kib) * 1024.0 / 1e6
}
