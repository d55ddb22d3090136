//! How fast `drain` is, beside the floor: `psql \copy` of the same rows into the same table.
//!
//! `tests/bench.sh drain [events] [rounds]`; prints a line a run, medians and ratios last.
#![allow(clippy::print_stdout, reason = "showing results is what it is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark of the machine reads the machine's environment"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sitewatch::event::{CheckEvent, Outcome, VERSION};
use sitewatch_kafka::{Client, KafkaSettings, Message, Producer, Security};
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::memory;
use sitewatch_tests::postgres::{Database, Postgres};
use wait4::Wait4 as _;

/// A topic with everything, and one with a check of each site.
const ALL: &str = "bench";
const FEW: &str = "few";
/// The same, in [`MANY`] partitions.
const ALL_IN_MANY: &str = "bench-many";
const FEW_IN_MANY: &str = "few-many";
/// Sites that the events are spread over.
const SITES: u64 = 10_000;
/// Partitions of a topic.
const PARTITIONS: u16 = 4;
/// Partitions of a topic that has many.
const MANY: u16 = 64;
/// One event in this many is sent twice.
const REPEAT_EVERY: u64 = 100;

fn main() {
    sitewatch_tests::directory::keep_on_disk();
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        arguments.next().map_or(default, |text| {
            text.parse()
                .expect("wants whole numbers: [events] [rounds]")
        })
    };
    let events = number(1_000_000);
    let rounds = number(3);

    let postgres = Postgres::start(None);
    let kafka = Kafka::start(Version::V4_1);
    println!(
        "{events} events of {SITES} sites, {PARTITIONS} and {MANY} partitions, one in {REPEAT_EVERY} twice"
    );
    let began = Instant::now();
    for (topic, partitions, events) in [
        (ALL, PARTITIONS, events),
        (FEW, PARTITIONS, SITES),
        (ALL_IN_MANY, MANY, events),
        (FEW_IN_MANY, MANY, SITES),
    ] {
        kafka.create_topic(topic, partitions);
        fill(&kafka, topic, events);
    }
    println!("topics filled in {:.1} s", began.elapsed().as_secs_f64());

    let directory = tempfile::tempdir().expect("make a temporary directory");
    let rows = directory.path().join("rows");
    let mut results = Results::default();
    for round in 1..=rounds {
        let timed = |name: &str, run: &mut dyn FnMut() -> Taken| {
            let before = server_cpu(&postgres);
            let taken = run();
            let server = server_cpu(&postgres).saturating_sub(before);
            println!(
                "round {round}: {name:<27} {taken}, PostgreSQL {:>6.3} s CPU",
                server.as_secs_f64()
            );
            taken
        };
        let database = prepared(&postgres);
        let all = timed("drain", &mut || run(drain(&kafka, ALL, &database, &[])));
        let none = timed("drain, nothing pending", &mut || {
            run(drain(&kafka, ALL, &database, &[]))
        });
        let recorded = export(&postgres, &database, &rows);
        assert_eq!(recorded, events, "every event is recorded once");
        let few = timed("drain, 10,000 pending", &mut || {
            run(drain(&kafka, FEW, &database, &[]))
        });

        let database = prepared(&postgres);
        let all_in_many = timed("drain, 64 partitions", &mut || {
            run(drain(&kafka, ALL_IN_MANY, &database, &[]))
        });
        let few_in_many = timed("the same, 10,000 pending", &mut || {
            run(drain(&kafka, FEW_IN_MANY, &database, &[]))
        });
        let recorded = count(&database);
        assert_eq!(recorded, events + SITES, "every event is recorded once");

        let database = prepared(&postgres);
        let copied = timed("psql \\copy", &mut || {
            run(copy(&postgres, &database, &rows))
        });

        // A writer each, so that two have twice the hands of one.
        let one_writer = [("DRAIN_WORKERS", "1")];
        let database = prepared(&postgres);
        let one = timed("one drain with one writer", &mut || {
            run(drain(&kafka, ALL, &database, &one_writer))
        });
        let database = prepared(&postgres);
        let two = timed("two drains with one each", &mut || {
            let other = drain(&kafka, ALL, &database, &one_writer)
                .spawn()
                .expect("start drain");
            let taken = run_any(drain(&kafka, ALL, &database, &one_writer));
            ended(other);
            taken
        });
        let recorded = count(&database);
        assert_eq!(recorded, events, "two drains record every event once");

        let ratio = |one: &Taken, other: &Taken| one.wall.as_secs_f64() / other.wall.as_secs_f64();
        results.add("drain / \\copy", ratio(&all, &copied));
        results.add("64 partitions / 4", ratio(&all_in_many, &all));
        results.add(
            "64 partitions / 4, 10,000 pending",
            ratio(&few_in_many, &few),
        );
        results.add("one drain / two drains", ratio(&one, &two));
        results.add(
            "microseconds of drain's CPU per event",
            all.cpu.as_secs_f64() * 1e6 / events as f64,
        );
        results.add("megabytes, all pending", all.memory_mb);
        results.add(
            "milliseconds, nothing pending",
            none.wall.as_secs_f64() * 1e3,
        );
        results.add("megabytes, nothing pending", none.memory_mb);
        results.add("milliseconds, 10,000 pending", few.wall.as_secs_f64() * 1e3);
    }
    results.print(rounds);
}

/// Results of each round, by name.
#[derive(Default)]
struct Results(Vec<(&'static str, Vec<f64>)>);

impl Results {
    fn add(&mut self, name: &'static str, result: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, results)) => results.push(result),
            None => self.0.push((name, vec![result])),
        }
    }

    fn print(mut self, rounds: u64) {
        println!("medians of {rounds}:");
        for (name, results) in &mut self.0 {
            results.sort_by(f64::total_cmp);
            println!("{:>8.2}  {name}", results[results.len() / 2]);
        }
    }
}

/// What PostgreSQL's processes have used so far, ended ones included.
fn server_cpu(postgres: &Postgres) -> Duration {
    let server = postgres.pid().expect("PostgreSQL runs");
    let ticks = |process: u32, fields: std::ops::Range<usize>| -> u64 {
        // A process may end between being listed and being read.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
            return 0;
        };
        // proc(5), counted from what follows the name: utime and stime are 11 and 12, those of
        // ended children 13 and 14.
        let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
        let values: Vec<&str> = rest.split(' ').collect();
        values[fields]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    };
    let children =
        std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
    let living: u64 = children
        .split_ascii_whitespace()
        .map(|process| ticks(process.parse().unwrap(), 11..13))
        .sum();
    // The kernel's ticks are hundredths of a second wherever Linux runs today.
    Duration::from_millis((ticks(server, 11..15) + living) * 10)
}

/// What a process took.
struct Taken {
    status: std::process::ExitStatus,
    wall: Duration,
    cpu: Duration,
    memory_mb: f64,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>8.3} s wall, {:>7.3} s CPU, {:>5.1} MB",
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.memory_mb
        )
    }
}

fn run(command: Command) -> Taken {
    let taken = run_any(command);
    assert!(
        taken.status.success(),
        "the program ended with {}",
        taken.status
    );
    taken
}

/// Waits for a drain beside another.
fn ended(mut drain: std::process::Child) {
    let status = drain.wait().expect("wait for drain");
    assert!(status.success(), "drain ended with {status}");
}

fn run_any(mut command: Command) -> Taken {
    let began = Instant::now();
    let mut child = command.spawn().expect("start the program");
    let id = child.id();
    let peak = std::thread::spawn(move || memory::peak_of(id));
    let used = child.wait4().expect("wait for the program");
    let wall = began.elapsed();
    Taken {
        status: used.status,
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        memory_mb: peak.join().expect("watch the program's memory"),
    }
}

fn executable(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("know where this program is");
    here.parent()
        .expect("a program is in a directory")
        .join(name)
}

fn drain(kafka: &Kafka, topic: &str, database: &Database, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(executable("drain"));
    command
        .env_clear()
        .env(
            "LOG_LEVEL",
            std::env::var("LOG_LEVEL").unwrap_or_else(|_| "error".to_owned()),
        )
        .env("DATABASE_URL", database.url())
        .env("KAFKA_BROKERS", kafka.bootstrap())
        .env("KAFKA_TOPIC", topic)
        .envs(more.iter().copied())
        .envs(std::env::vars_os().filter(|(name, _)| {
            name.to_string_lossy().starts_with("DRAIN_") || name == "KAFKA_OPTIONS"
        }))
        .stdin(Stdio::null());
    command
}

/// An empty database with the schema, and the server's own writing done before the clock runs.
fn prepared(postgres: &Postgres) -> Database {
    let database = postgres.create_database("bench");
    let ended = Command::new(executable("setup"))
        .env_clear()
        .env("LOG_LEVEL", "error")
        .env("DATABASE_URL", database.url())
        .env("SETUP_TOPIC", "false")
        .status()
        .expect("start setup");
    assert!(ended.success(), "setup ended with {ended}");
    database
        .client()
        .batch_execute(
            "select create_check_partitions((now() - interval '3 days')::date, current_date)",
        )
        .expect("make the days of the benchmark");
    postgres
        .superuser()
        .batch_execute("checkpoint")
        .expect("write out what came before");
    database
}

/// The rows into a file, in the order they lie in; returns how many.
fn export(postgres: &Postgres, database: &Database, rows: &Path) -> u64 {
    let ended = psql(postgres, database)
        .arg("-c")
        .arg(format!(
            "\\copy (select * from checks) to '{}' (format binary)",
            rows.display()
        ))
        .status()
        .expect("start psql");
    assert!(ended.success(), "psql ended with {ended}");
    count(database)
}

fn count(database: &Database) -> u64 {
    let count: i64 = database
        .client()
        .query_one("select count(*) from checks", &[])
        .expect("count the rows")
        .get(0);
    count.unsigned_abs()
}

fn copy(postgres: &Postgres, database: &Database, rows: &Path) -> Command {
    let mut command = psql(postgres, database);
    command.arg("-c").arg(format!(
        "\\copy checks from '{}' (format binary)",
        rows.display()
    ));
    command
}

fn psql(_postgres: &Postgres, database: &Database) -> Command {
    let mut command = Command::new("psql");
    command
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", database.url()])
        .stdin(Stdio::null());
    command
}

fn fill(kafka: &Kafka, topic: &str, events: u64) {
    let settings = KafkaSettings {
        client: Client::Rdkafka,
        brokers: vec![kafka.bootstrap()],
        topic: topic.to_owned(),
        client_id: "bench".to_owned(),
        group_id: "bench".to_owned(),
        security: Security::default(),
        connect_timeout: Duration::from_secs(10),
        options: Vec::new(),
    };
    let mut producer = Producer::connect(&settings).expect("connect to Kafka");
    // Rounds of all sites, a minute apart, ending now: as probes write them.
    let rounds = events.div_ceil(SITES);
    let first = Timestamp::now() - SignedDuration::from_mins(i64::try_from(rounds).unwrap());
    let mut sent = 0;
    for number in 0..events {
        let (round, site) = (number / SITES, number % SITES);
        let event = event(first, round, site).to_json();
        let key = format!("site-{site:05}");
        for _ in 0..=u64::from(number.is_multiple_of(REPEAT_EVERY)) {
            producer
                .send(sent, &Message::new(key.as_bytes(), &event))
                .expect("send an event");
            sent += 1;
        }
        if number.is_multiple_of(10_000) {
            assert!(
                producer
                    .poll()
                    .iter()
                    .all(|delivery| delivery.result.is_ok())
            );
        }
    }
    let failed = producer
        .finish(Instant::now() + Duration::from_secs(60))
        .iter()
        .filter(|delivery| delivery.result.is_err())
        .count();
    assert_eq!(failed, 0, "events that were not taken");
}

fn event(first: Timestamp, round: u64, site: u64) -> CheckEvent<'static> {
    // One check in fifty fails, spread over sites and rounds.
    let fails = (round * 31 + site * 17).is_multiple_of(50);
    let spread = u32::try_from((round * 7_919 + site * 104_729) % 50_000).unwrap();
    let minutes = i64::try_from(round).unwrap();
    CheckEvent {
        v: VERSION,
        id: uuid::Uuid::now_v7(),
        site: format!("site-{site:05}").into(),
        url: format!("https://www{site}.example.com/some/page").into(),
        location: "bench".into(),
        checked_at: first
            + SignedDuration::from_mins(minutes)
            + SignedDuration::from_micros(i64::try_from(site * 5_000).unwrap()),
        scheduled_at: Some(
            first
                + SignedDuration::from_mins(minutes)
                + SignedDuration::from_millis(i64::try_from(site * 5).unwrap()),
        ),
        interval_ms: Some(60_000),
        up: Some(!fails),
        outcome: if fails { Outcome::Status } else { Outcome::Up },
        error: fails.then(|| "status 503, expected 200-399".into()),
        status: Some(if fails { 503 } else { 200 }),
        remote_addr: Some("192.0.2.44".parse().unwrap()),
        http_version: Some("1.1".into()),
        dns_us: Some(1_000 + spread / 10),
        connect_us: Some(8_000 + spread / 5),
        tls_us: Some(21_000 + spread / 3),
        first_byte_us: Some(30_000 + spread),
        body_us: Some(900),
        total_us: 60_900 + spread * 2,
        local_wait_us: Some(40),
        clock: None,
        body_bytes: Some(5_120),
        body_match: Some(true),
        certificate_not_after: None,
        certificate_issuer: None,
        certificate_error: None,
        chain_not_after: None,
        chain_subject: None,
        chain_host: None,
        tls_version: Some("TLSv1.3".into()),
        redirects: 0,
        final_url: None,
        attempts: 1,
        first_error: None,
        evidence: None,
        maintenance: false,
        labels: BTreeMap::from([("team".into(), "web".into())]),
    }
}
