//! How fast `report` and `maintain` are on a history of 10,000 sites or as many as are asked for.
//!
//! `tests/bench.sh report [rounds] [sites] [locations]`; prints a line a run, and at the end what the limits are
//! for. `BENCH_KEEP=true` leaves the server up until Enter is pressed, and prints its address.
#![allow(clippy::print_stdout, reason = "showing results is what it is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark of the machine reads the machine's environment"
)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sitewatch_tests::memory;
use sitewatch_tests::postgres::{Database, Postgres};
use wait4::Wait4 as _;

/// The history.
const FILL: &str = include_str!("fill.sql");

/// Sites when nothing is said: what the limits below are for, with one location or three.
const SITES: u32 = 10_000;

/// What a page or a table may take at any minute of the hour, where `maintain` has added up the running one
/// ten minutes ago.
const REPORT_LIMIT: Limit = Limit {
    wall: Duration::from_secs(2),
    memory_mb: Some(128.0),
};
/// A scheduler asks for these every minute.
const METRICS_LIMIT: Limit = Limit {
    wall: Duration::from_millis(500),
    memory_mb: Some(128.0),
};
/// An error budget takes all incidents and days of the period.
const SLA_LIMIT: Limit = Limit {
    wall: Duration::from_secs(5),
    memory_mb: Some(128.0),
};
/// Nine hundred thousand lines are nobody's page: what counts is the memory.
const LINES_LIMIT: Limit = Limit {
    wall: Duration::from_secs(60),
    memory_mb: Some(128.0),
};
const HOUR_LIMIT: Limit = Limit {
    wall: Duration::from_secs(10),
    memory_mb: None,
};
const DROP_LIMIT: Limit = Limit {
    wall: Duration::from_secs(1),
    memory_mb: None,
};

fn main() {
    sitewatch_tests::directory::keep_on_disk();
    let mut arguments = std::env::args().skip(1).map(|text| -> u32 {
        text.parse()
            .expect("wants whole numbers: [rounds] [sites] [locations]")
    });
    let rounds = arguments.next().unwrap_or(3);
    let sites = arguments.next().unwrap_or(SITES);
    let locations = arguments.next().unwrap_or(1);
    // The defaults, but for room to fill the database in a reasonable time.
    let postgres = Postgres::options().set("max_wal_size", "16GB").start();
    let database = postgres.create_database("bench");
    machine(&database);
    let set_up = run(&function("setup", &database, &[("SETUP_TOPIC", "false")]));
    report_run("setup", &set_up);
    let began = Instant::now();
    fill(&database, sites, locations);
    println!(
        "filled in {:.0} s: {sites} sites from {locations} locations, {} checks, {} hours and {} days of sites, {} incidents",
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
    let mut results = Results::default();
    for _ in 0..rounds {
        mark_an_hour(&database);
        results.add(
            format!("maintain, an hour of {} checks", sites * locations * 60),
            &HOUR_LIMIT,
            run(&function("maintain", &database, keep_old)),
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
    reports(&database, rounds, &mut results);
    results.add(
        format!("maintain, a day of {} checks dropped", sites * 1_440),
        &DROP_LIMIT,
        run(&function("maintain", &database, &[])),
    );
    reports(&database, rounds, &mut results);
    results.print();
}

/// What the results are worth nothing without.
fn machine(database: &Database) {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("CPU unknown", |(_, model)| model);
    let version: String = database
        .client()
        .query_one("show server_version", &[])
        .unwrap()
        .get(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores of {model}, PostgreSQL {version}");
}

/// The results that have a limit, to be printed together at the end.
#[derive(Default)]
struct Results(Vec<(String, &'static Limit, Vec<Taken>)>);

/// How long a run may take, and how much memory.
struct Limit {
    wall: Duration,
    memory_mb: Option<f64>,
}

impl Results {
    fn add(&mut self, name: String, limit: &'static Limit, taken: Taken) {
        report_run(&name, &taken);
        match self.0.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, _, all)) => all.push(taken),
            None => self.0.push((name, limit, vec![taken])),
        }
    }

    fn print(&mut self) {
        println!(
            "\nmedian and longest of the runs, most memory, against the limits for {SITES} sites"
        );
        for (name, limit, all) in &mut self.0 {
            all.sort_by_key(|taken| taken.wall);
            let longest = all[all.len() - 1].wall;
            let memory_mb = all.iter().map(|taken| taken.memory_mb).fold(0.0, f64::max);
            let is_over =
                longest > limit.wall || limit.memory_mb.is_some_and(|limit| memory_mb > limit);
            println!(
                "{name:<60} {:>7.3} s {:>7.3} s of {:>4} s {memory_mb:>6.1} MB{}{}",
                all[all.len() / 2].wall.as_secs_f64(),
                longest.as_secs_f64(),
                limit.wall.as_secs_f64(),
                limit
                    .memory_mb
                    .map(|limit| format!(" of {limit} MB"))
                    .unwrap_or_default(),
                if is_over { "  OVER" } else { "" },
            );
        }
    }
}

fn reports(database: &Database, rounds: u32, results: &mut Results) {
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (page, grouped) = (path("page.html"), path("grouped.html"));
    let metrics = path("sites.prom");
    let checks = count(database, "checks");
    for (name, variables) in [
        ("table", vec![]),
        (
            "incidents of 7 days",
            vec![("REPORT_KIND", "incidents"), ("REPORT_SINCE", "7d")],
        ),
        ("recent", vec![("REPORT_KIND", "recent")]),
        (
            "days of 90 days as JSON",
            vec![("REPORT_KIND", "days"), ("REPORT_FORMAT", "json")],
        ),
        (
            "html",
            vec![("REPORT_FORMAT", "html"), ("REPORT_OUTPUT", page.as_str())],
        ),
        (
            "html by groups",
            vec![
                ("REPORT_FORMAT", "html"),
                ("REPORT_GROUP_BY", "team"),
                ("REPORT_OUTPUT", grouped.as_str()),
            ],
        ),
        (
            "sla of 90 days",
            vec![
                ("REPORT_KIND", "sla"),
                ("REPORT_SINCE", "90d"),
                ("REPORT_GROUP_BY", "team"),
            ],
        ),
        (
            "prometheus",
            vec![
                ("REPORT_FORMAT", "prometheus"),
                ("REPORT_OUTPUT", metrics.as_str()),
            ],
        ),
    ] {
        for _ in 0..rounds {
            results.add(
                format!("report, {name}, {checks} checks"),
                match name {
                    "days of 90 days as JSON" => &LINES_LIMIT,
                    "sla of 90 days" => &SLA_LIMIT,
                    "prometheus" => &METRICS_LIMIT,
                    _ => &REPORT_LIMIT,
                },
                run(&function("report", database, &variables)),
            );
        }
    }
    for path in [page, grouped, metrics] {
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
            // Of today where there is one: with an hour of a day that is over its day is rolled up too.
            "insert into dirty_hours (hour)
             select case when today < this_hour then greatest(this_hour - interval '3 hours', today)
                 else this_hour - interval '3 hours' end
             from (select date_trunc('day', now(), 'UTC') as today, date_trunc('hour', now(), 'UTC') as this_hour) as clock",
        )
        .unwrap();
}

fn fill(database: &Database, sites: u32, locations: u32) {
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
    let text = format!("set bench.sites = {sites}; set bench.locations = {locations};\n{FILL}");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
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
        "{name:<60} {:>7.3} s wall, {:>6.3} s CPU of its own, {:>5.1} MB",
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
        path: here
            .parent()
            .expect("a program is in a directory")
            .join(name),
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
    let peak = std::thread::spawn(move || memory::peak_of(id));
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
