//! How fast `notify` is with 10,000 sites: when there is nothing to tell, and when 1,000 of them go down
//! and come up again, each told to three channels whose receivers take 50 ms to answer.
//!
//! `tests/bench.sh notify [rounds]`; prints medians. The floor of the first is a connection and a single
//! query of the sites' states, of the second what the receivers' answers take when ten are waited for
//! at the same time. The receivers run in this process, on the same cores.
#![allow(clippy::print_stdout, reason = "showing results is what it is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sitewatch_tests::memory;
use sitewatch_tests::postgres::{Database, Postgres};
use sitewatch_tests::websites::{Behaviour, Page, Website};
use wait4::Wait4 as _;

const SITES: usize = 10_000;

/// Those that go down.
const FAILING: usize = 1_000;

const CHANNELS: usize = 3;

const ANSWERS_AFTER: Duration = Duration::from_millis(50);

/// What a channel is sent at the same time.
const AT_ONCE: usize = 10;

fn main() {
    sitewatch_tests::directory::keep_on_disk();
    let rounds: usize = std::env::args().nth(1).map_or(5, |text| {
        text.parse().expect("wants a whole number: [rounds]")
    });
    let postgres = Postgres::options().start();
    let database = postgres.create_database("bench");
    let receivers: Vec<Website> = (0..CHANNELS)
        .map(|_| {
            Website::start(Behaviour::Slow {
                delay: ANSWERS_AFTER,
                page: Page::ok("taken"),
            })
        })
        .collect();
    let mut urls = String::new();
    for (number, receiver) in receivers.iter().enumerate() {
        writeln!(urls, "webhook+{}#name=channel-{number}", receiver.url()).unwrap();
    }
    run(&database, "setup", &[("SETUP_TOPIC", "false")], "");
    let began = Timestamp::now();
    drain(&database, SITES, true, began - SignedDuration::from_mins(9));
    database.client().batch_execute("vacuum analyze").unwrap();
    let notify = || {
        let variables = [
            ("NOTIFY_URLS", urls.as_str()),
            ("NOTIFY_GROUP_OVER", "0"),
            ("NOTIFY_FLAP_WINDOW", "0s"),
            ("NOTIFY_STALE_AFTER", "1d"),
        ];
        run(&database, "notify", &variables, "")
    };
    notify();

    let mut quiet = Vec::new();
    let mut floor = Vec::new();
    for _ in 0..rounds * 5 {
        quiet.push(notify());
        floor.push(single_query(&database));
    }
    report(
        &format!("nothing to tell, {SITES} sites"),
        &mut quiet,
        median(&mut floor),
    );

    let mut storm = Vec::new();
    for change in 0..rounds * 2 {
        let at = began - SignedDuration::from_mins(8)
            + SignedDuration::from_secs(i64::try_from(change).unwrap());
        drain(&database, FAILING, change % 2 == 1, at);
        let before = sent(&receivers);
        storm.push(notify());
        let sent = sent(&receivers) - before;
        assert_eq!(sent, FAILING * CHANNELS, "messages of a change");
    }
    let answers = ANSWERS_AFTER * u32::try_from(FAILING / AT_ONCE).unwrap();
    report(
        &format!("{FAILING} incidents to {CHANNELS} channels"),
        &mut storm,
        answers,
    );
}

fn sent(receivers: &[Website]) -> usize {
    let sent = receivers.iter().map(|receiver| receiver.requests().len());
    sent.sum()
}

/// What a process took.
struct Taken {
    wall: Duration,
    cpu: Duration,
    memory_mb: f64,
}

fn report(name: &str, all: &mut [Taken], floor: Duration) {
    let mut walls: Vec<Duration> = all.iter().map(|taken| taken.wall).collect();
    let mut cpus: Vec<Duration> = all.iter().map(|taken| taken.cpu).collect();
    let memory_mb = all.iter().map(|taken| taken.memory_mb).fold(0.0, f64::max);
    println!(
        "{name:<40} {:>9.1} ms wall, {:>7.1} ms CPU of its own, {memory_mb:>5.1} MB; floor {:.1} ms",
        median(&mut walls).as_secs_f64() * 1e3,
        median(&mut cpus).as_secs_f64() * 1e3,
        floor.as_secs_f64() * 1e3,
    );
}

fn median(all: &mut [Duration]) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// A connection, and one query of every site's state.
fn single_query(database: &Database) -> Duration {
    let began = Instant::now();
    let row = database
        .client()
        .query_one(
            "select count(*) from (
                 select website_id, max(checked_at) from website_states group by website_id
             ) as newest",
            &[],
        )
        .unwrap();
    assert_eq!(usize::try_from(row.get::<_, i64>(0)).unwrap(), SITES);
    began.elapsed()
}

/// Records a check of each of the first sites.
fn drain(database: &Database, sites: usize, is_up: bool, at: Timestamp) {
    let mut events = String::new();
    for site in 0..sites {
        let id = uuid::Uuid::now_v7();
        let found = if is_up {
            r#""up":true,"outcome":"up","status":200"#
        } else {
            r#""up":false,"outcome":"status","status":500,"error":"status 500, expected 200-399""#
        };
        writeln!(
            events,
            r#"{{"v":1,"id":"{id}","site":"site-{site}","url":"https://site-{site}.example/","location":"bench","checked_at":"{at}",{found},"total_us":73500,"redirects":0,"attempts":1,"maintenance":false,"labels":{{"team":"web"}}}}"#
        )
        .unwrap();
    }
    run(database, "drain", &[("DRAIN_SOURCE", "stdin")], &events);
}

fn run(database: &Database, function: &str, variables: &[(&str, &str)], input: &str) -> Taken {
    let here = std::env::current_exe().expect("know where this program is");
    let path = here
        .parent()
        .expect("a program is in a directory")
        .join(function);
    let began = Instant::now();
    let mut child = Command::new(&path)
        .env_clear()
        .env("LOG_LEVEL", "warn")
        .env("DATABASE_URL", database.url())
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start the function");
    let id = child.id();
    let peak = std::thread::spawn(move || memory::peak_of(id));
    // A function that does not read ends nevertheless.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let used = child.wait4().expect("wait for the function");
    let wall = began.elapsed();
    assert!(
        used.status.success(),
        "{function} ended with {}",
        used.status
    );
    Taken {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        memory_mb: peak.join().expect("watch the function's memory"),
    }
}
