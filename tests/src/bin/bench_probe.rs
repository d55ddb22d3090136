//! How fast `probe` is, beside two floors: `ab`, which asks one URL with no search and verifies no
//! certificate (`curl` for a single site), and a client that does nothing beyond the system calls: "epoll" on one thread, over
//! TLS "bare", a few threads that connect, shake hands, verify, read the page.
//!
//! `tests/bench.sh probe [rounds] [scenario…]`; without arguments five rounds of all. Prints medians,
//! those of ratios from the two runs of each round.
//! With `kafka` among the arguments each round is made again with results to a real Kafka, and once
//! more with a spool before it.
//! `bench_probe serve SCENARIO DIRECTORY` starts only the website, writes the site list and the
//! CA certificate into DIRECTORY and waits: for profilers and other programs.
//! The website runs in this process, on the same cores. The results include the machine's own
//! noise: run it on a machine with nothing else to do.
#![allow(clippy::print_stdout, reason = "showing results is what it is for")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use openssl::ssl::SslVersion;
use sitewatch_tests::certificates::{CertificateAuthority, Issued, Validity};
use sitewatch_tests::floor;
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::memory;
use sitewatch_tests::pages::{Manner, Tls, serve};
use wait4::Wait4 as _;

/// One way to measure.
struct Scenario {
    name: &'static str,
    sites: u32,
    manner: Manner,
    /// The newest version of TLS that the website speaks.
    tls: Option<SslVersion>,
    concurrency: u32,
    timeout: &'static str,
    /// What each site's pattern has behind `site NUMBER is `.
    pattern: &'static str,
}

impl Scenario {
    /// What people would measure a website of that many pages with.
    fn known_client(&self) -> &'static str {
        if self.sites == 1 { "curl" } else { "ab" }
    }
}

fn scenarios() -> Vec<Scenario> {
    let at_once = Manner::default();
    let slow = Manner {
        delay: Duration::from_millis(200),
        ..at_once
    };
    let silent = Manner {
        silent_one_in: 20,
        ..at_once
    };
    let scenario = |name, sites, manner, tls, concurrency| Scenario {
        name,
        sites,
        manner,
        tls,
        concurrency,
        timeout: "5s",
        pattern: "wel+",
    };
    vec![
        scenario("one", 1, at_once, None, 200),
        scenario("thousand", 1_000, at_once, None, 500),
        scenario("at-once", 10_000, at_once, None, 500),
        // Of these none comes down to a text.
        Scenario {
            pattern: "(well|fine)[^<]",
            ..scenario("patterns", 10_000, at_once, None, 500)
        },
        scenario("slow", 10_000, slow, None, 2_000),
        scenario("tls", 1_000, at_once, Some(SslVersion::TLS1_3), 500),
        scenario("tls-1.2", 1_000, at_once, Some(SslVersion::TLS1_2), 500),
        scenario("tls-many", 10_000, at_once, Some(SslVersion::TLS1_3), 500),
        scenario("silent", 1_000, silent, None, 500),
        scenario("many", 100_000, at_once, None, 500),
    ]
}

fn main() {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, name, directory] = wanted.as_slice()
        && serve == "serve"
    {
        return serve_only(name, Path::new(directory));
    }
    if let [floor, address, pages, rest] = wanted.as_slice()
        && ["epoll", "bare"].contains(&floor.as_str())
    {
        let address = address.parse().expect("an address");
        let pages = pages.parse().expect("how many pages");
        if floor == "epoll" {
            floor::plain(address, pages, rest.parse().expect("how many at once"));
        } else {
            floor::secure(address, Path::new(rest), pages);
        }
        return;
    }
    let rounds = wanted
        .first()
        .and_then(|first| first.parse::<u32>().ok())
        .inspect(|_| drop(wanted.remove(0)))
        .unwrap_or(5);
    let directory = tempfile::tempdir().expect("make a temporary directory");
    sitewatch_tests::directory::keep_on_disk();
    let kafka = wanted.iter().position(|name| name == "kafka").map(|place| {
        wanted.remove(place);
        let kafka = Kafka::start(Version::V4_1);
        kafka.create_topic("bench", 4);
        kafka
    });
    let authority = CertificateAuthority::new("bench");
    let certificate = authority.server(&["127.0.0.1", "localhost"], Validity::days(30));
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("write the CA certificate");
    for scenario in scenarios() {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == scenario.name) {
            continue;
        }
        let address = serve(scenario.manner, tls(&scenario, &certificate));
        println!("\n{}: {} sites", scenario.name, scenario.sites);
        let sites = site_file(&scenario, address, directory.path());
        let events = directory.path().join("events");
        let (mut floor, mut bare, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        let spool = directory.path().join("spool");
        let (mut to_kafka, mut spooled) = (Vec::new(), Vec::new());
        let mut reported = Reported::default();
        for _ in 0..rounds {
            floor.extend(known_client(&scenario, address));
            bare.extend(run_floor(&scenario, address, &ca));
            plain.push(
                run(probe(&scenario, &sites, &ca)
                    .env("PROBE_SINK", "stdout")
                    .stdout(File::create(&events).expect("make a file")))
                .expect("probe ends well"),
            );
            reported.read(&events);
            if let Some(kafka) = &kafka {
                to_kafka.push(publish(&scenario, &sites, &ca, kafka, None));
                spooled.push(publish(&scenario, &sites, &ca, kafka, Some(&spool)));
            }
        }
        let least = if scenario.tls.is_some() {
            "bare"
        } else {
            "epoll"
        };
        let known = scenario.known_client();
        show(known, &floor, ("", &[]));
        show(least, &bare, (known, &floor));
        show("probe", &plain, (known, &floor));
        compare(&plain, (least, &bare));
        show("to Kafka", &to_kafka, ("stdout", &plain));
        show("by spool", &spooled, ("Kafka alone", &to_kafka));
        reported.print();
    }
}

/// The medians of some runs, and what they are of others of the same rounds.
fn show(name: &str, runs: &[Taken], beside: (&str, &[Taken])) {
    if runs.is_empty() {
        return;
    }
    let of = |measured: fn(&Taken) -> f64| median(runs.iter().map(measured));
    println!(
        "  {name:<9} {:>7.3} s wall, {:>7.3} s CPU, {:>6.1} MB",
        of(|taken| taken.wall.as_secs_f64()),
        of(|taken| taken.cpu.as_secs_f64()),
        of(|taken| taken.memory_mb)
    );
    compare(runs, beside);
}

/// How many times what others of the same rounds took.
fn compare(runs: &[Taken], (name, beside): (&str, &[Taken])) {
    if beside.is_empty() || beside.len() != runs.len() {
        return;
    }
    let ratio = |measured: fn(&Taken) -> f64| {
        let pairs = runs.iter().zip(beside);
        median(pairs.map(|(one, other)| measured(one) / measured(other)))
    };
    println!(
        "            {:>7.2} x the wall of {name}, {:.2} x its CPU",
        ratio(|taken| taken.wall.as_secs_f64()),
        ratio(|taken| taken.cpu.as_secs_f64())
    );
}

fn median(results: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = results.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn serve_only(name: &str, directory: &Path) {
    let authority = CertificateAuthority::new("bench");
    let certificate = authority.server(&["127.0.0.1", "localhost"], Validity::days(30));
    std::fs::write(directory.join("ca.pem"), authority.pem()).expect("write the certificate");
    let scenario = scenarios()
        .into_iter()
        .find(|scenario| scenario.name == name);
    let scenario = scenario.expect("name one of the scenarios");
    let address = serve(scenario.manner, tls(&scenario, &certificate));
    let sites = site_file(&scenario, address, directory);
    println!("{address}, sites in {}", sites.display());
    loop {
        std::thread::park();
    }
}

fn tls<'a>(scenario: &Scenario, certificate: &'a Issued) -> Option<Tls<'a>> {
    scenario.tls.map(|newest| Tls {
        certificate,
        newest,
    })
}

/// As many pages as the scenario has sites, by this program in a process of its own: over TLS
/// "bare", else "epoll".
fn run_floor(scenario: &Scenario, address: SocketAddr, ca: &Path) -> Option<Taken> {
    if scenario.manner.silent_one_in > 0 {
        return None;
    }
    let here = std::env::current_exe().expect("know where this program is");
    let mut command = Command::new(here);
    let pages = scenario.sites.to_string();
    if scenario.tls.is_some() {
        command.args(["bare", &address.to_string(), &pages]).arg(ca);
    } else {
        let at_once = scenario.concurrency.to_string();
        command.args(["epoll", &address.to_string(), &pages, &at_once]);
    }
    Some(run(&mut command).expect("the floor's pages come"))
}

/// What a process took.
struct Taken {
    wall: Duration,
    cpu: Duration,
    memory_mb: f64,
}

fn run(command: &mut Command) -> Option<Taken> {
    let began = Instant::now();
    let mut child = command.spawn().ok()?;
    let id = child.id();
    let peak = std::thread::spawn(move || memory::peak_of(id));
    let used = child.wait4().ok()?;
    let wall = began.elapsed();
    used.status.success().then(|| Taken {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        memory_mb: peak.join().unwrap_or_default(),
    })
}

/// The client that people know, where it is installed and the scenario is one it can do.
fn known_client(scenario: &Scenario, address: SocketAddr) -> Option<Taken> {
    if scenario.manner.silent_one_in > 0 || scenario.sites > 20_000 {
        return None;
    }
    let name = scenario.known_client();
    let mut command = Command::new(name);
    if name == "curl" {
        command.args(["--silent", "--fail", "--max-time", "5"]);
    } else {
        command
            .args(["-q", "-n", &scenario.sites.to_string()])
            .args(["-c", &scenario.concurrency.min(scenario.sites).to_string()]);
    }
    let scheme = if scenario.tls.is_some() {
        "https"
    } else {
        "http"
    };
    run(command
        .arg(format!("{scheme}://{address}/1"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null()))
}

/// Each site with a name, a pattern and a timeout of its own.
fn site_file(scenario: &Scenario, address: SocketAddr, directory: &Path) -> PathBuf {
    let path = directory.join("sites.json");
    let mut file = std::io::BufWriter::new(File::create(&path).expect("make a file"));
    let scheme = if scenario.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let (timeout, pattern) = (scenario.timeout, scenario.pattern);
    let sites: Vec<String> = (1..=scenario.sites)
        .map(|number| {
            format!(
                r#"{{"name": "site-{number}", "url": "{scheme}://{address}/{number}", "regex": "site {number} is {pattern}", "timeout": "{timeout}"}}"#
            )
        })
        .collect();
    write!(file, "[{}]", sites.join(",\n")).expect("write the sites");
    path
}

fn probe(scenario: &Scenario, sites: &Path, ca: &Path) -> Command {
    let here = std::env::current_exe().expect("know where this program is");
    let probe = here
        .parent()
        .expect("a program is in a directory")
        .join("probe");
    let mut command = Command::new(probe);
    command
        .env_clear()
        .env("SITES_FILE", sites)
        .env("CHECK_CONCURRENCY", scenario.concurrency.to_string())
        .env("LOG_LEVEL", "warn")
        .stdin(Stdio::null());
    if scenario.tls.is_some() {
        command.env("CHECK_TLS_CA_FILE", ca);
    }
    command
}

/// The same round to Kafka: what publishing adds, and what a spool does.
fn publish(
    scenario: &Scenario,
    sites: &Path,
    ca: &Path,
    kafka: &Kafka,
    spool: Option<&Path>,
) -> Taken {
    run(probe(scenario, sites, ca)
        .envs(spool.map(|spool| ("PROBE_SPOOL_DIR", spool)))
        .env("KAFKA_BROKERS", kafka.bootstrap())
        .env("KAFKA_TOPIC", "bench")
        .stdout(Stdio::null()))
    .expect("probe ends well")
}

/// What the events say: outcomes, response times, whether phases add up.
#[derive(Default)]
struct Reported {
    outcomes: BTreeMap<String, u32>,
    totals: Vec<u64>,
    waits: Vec<u64>,
    wrong_sums: u32,
}

impl Reported {
    /// Adds the events of a round.
    fn read(&mut self, events: &Path) {
        for line in BufReader::new(File::open(events).expect("open the events")).lines() {
            let line = line.expect("read the events");
            let event: serde_json::Value = serde_json::from_str(&line).expect("an event is JSON");
            let number = |name: &str| event[name].as_u64().unwrap_or_default();
            let outcome = event["outcome"].as_str().unwrap_or_default().to_owned();
            *self.outcomes.entry(outcome).or_default() += 1;
            let phases = ["dns_us", "connect_us", "tls_us", "first_byte_us", "body_us"];
            if phases.iter().map(|phase| number(phase)).sum::<u64>() != number("total_us") {
                self.wrong_sums += 1;
            }
            if event["up"] == true {
                self.totals.push(number("total_us"));
                self.waits.push(number("local_wait_us"));
            }
        }
    }

    fn print(mut self) {
        self.totals.sort_unstable();
        self.waits.sort_unstable();
        let at = |sorted: &[u64], part: usize| {
            let index = (sorted.len() * part / 1_000).min(sorted.len().saturating_sub(1));
            sorted.get(index).copied().unwrap_or_default() as f64 / 1_000.0
        };
        println!(
            "  reported {:?}, phases that do not add up: {}",
            self.outcomes, self.wrong_sums
        );
        println!(
            "  response time: median {:.2} ms, 99 % {:.2} ms, longest {:.2} ms; own waiting: median {:.2} ms, 99 % {:.2} ms",
            at(&self.totals, 500),
            at(&self.totals, 990),
            at(&self.totals, 1_000),
            at(&self.waits, 500),
            at(&self.waits, 990)
        );
    }
}
