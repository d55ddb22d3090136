//! Whether `probe` reports what websites did, however busy this machine is.
//!
//! `tests/bench.sh honesty [rounds] [at-once|slow|tls]… [idle|busy|throttled]…`; without arguments
//! three rounds of everything. The website runs in this process. It keeps a log: when the kernel had
//! each request, by `SO_TIMESTAMPING`, and when it wrote the answer. What lies between is the truth
//! about the time to the first byte, and beside it stands what `probe` says, and what `curl` does.
//! `busy`: a loop on each core, at equal priority. `throttled`: the client in a cgroup of a fifth of
//! a core; left out, and said, where none can be made (that takes root).
#![allow(clippy::print_stdout, reason = "showing results is what it is for")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use openssl::ssl::SslVersion;
use sitewatch_tests::certificates::{CertificateAuthority, Validity};
use sitewatch_tests::cgroup::{Cgroup, Limit};
use sitewatch_tests::pages::{Log, Manner, Tls, Wrote, serve_and_log};

/// One way to serve.
struct Scenario {
    name: &'static str,
    sites: u32,
    delay: Duration,
    tls: bool,
    concurrency: u32,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "at-once",
        sites: 10_000,
        delay: Duration::ZERO,
        tls: false,
        concurrency: 500,
    },
    Scenario {
        name: "slow",
        sites: 10_000,
        delay: Duration::from_millis(200),
        tls: false,
        concurrency: 2_000,
    },
    Scenario {
        name: "tls",
        sites: 1_000,
        delay: Duration::ZERO,
        tls: true,
        concurrency: 200,
    },
];

/// What the machine does beside.
const CONDITIONS: &[&str] = &["idle", "busy", "throttled"];

fn main() {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["spin"] {
        loop {
            std::hint::spin_loop();
        }
    }
    let rounds = wanted
        .first()
        .and_then(|first| first.parse::<u32>().ok())
        .inspect(|_| drop(wanted.remove(0)))
        .unwrap_or(3);
    let is_wanted = |name: &str, among: &[&str]| {
        let named: Vec<_> = wanted
            .iter()
            .filter(|wanted| among.contains(&wanted.as_str()))
            .collect();
        named.is_empty() || named.iter().any(|wanted| *wanted == name)
    };
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let authority = CertificateAuthority::new("bench");
    let certificate = authority.server(&["127.0.0.1", "localhost"], Validity::days(30));
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("write the CA certificate");
    let cgroup = Cgroup::make(Limit::Cpu(20));
    for scenario in SCENARIOS {
        if !is_wanted(scenario.name, &names) {
            continue;
        }
        let log = Log::default();
        let manner = Manner {
            delay: scenario.delay,
            ..Manner::default()
        };
        let tls = scenario.tls.then_some(Tls {
            certificate: &certificate,
            newest: SslVersion::TLS1_3,
        });
        let address = serve_and_log(manner, tls, &log);
        let scheme = if scenario.tls { "https" } else { "http" };
        let base = format!("{scheme}://{address}/");
        for condition in CONDITIONS {
            if !is_wanted(condition, CONDITIONS) {
                continue;
            }
            println!("\n{}, {condition}: {} sites", scenario.name, scenario.sites);
            let within = match (*condition, &cgroup) {
                ("throttled", None) => {
                    println!("  no cgroup can be made here: left out");
                    continue;
                }
                ("throttled", Some(cgroup)) => Some(cgroup),
                _ => None,
            };
            let _busy = (*condition == "busy").then(Busy::start);
            let (mut ours, mut curls) = (Errors::default(), Errors::default());
            for _ in 0..rounds {
                ours.add(probe(scenario, &base, &ca, within), &log);
                curls.add(curl(scenario, &base, &ca, directory.path(), within), &log);
            }
            ours.print("probe");
            curls.print("curl");
        }
    }
}

/// What a client said of each page: microseconds to the first byte, or why there is none.
type Said = HashMap<u32, Result<i64, String>>;

fn probe(scenario: &Scenario, base: &str, ca: &Path, cgroup: Option<&Cgroup>) -> Said {
    let here = std::env::current_exe().expect("know where this program is");
    let program = here
        .parent()
        .expect("a program is in a directory")
        .join("probe");
    let sites: Vec<String> = (1..=scenario.sites)
        .map(|number| {
            format!(
                r#"{{"name": "{number}", "url": "{base}{number}", "regex": "site {number} is wel+", "timeout": "5s"}}"#
            )
        })
        .collect();
    let file = ca.with_file_name("sites.json");
    std::fs::write(&file, format!("[{}]", sites.join(","))).expect("write the sites");
    let mut command = within(cgroup, &program);
    command
        .env_clear()
        .env("SITES_FILE", file)
        .env("PROBE_SINK", "stdout")
        .env("CHECK_CONCURRENCY", scenario.concurrency.to_string())
        .env("CHECK_TLS_CA_FILE", ca)
        .env("LOG_LEVEL", "warn");
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("run probe");
    assert!(output.status.success(), "probe ends well");
    let mut said = Said::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let event: serde_json::Value = serde_json::from_slice(line).expect("an event is JSON");
        let number = event["site"].as_str().and_then(|name| name.parse().ok());
        let result = match (event["up"].as_bool(), event["first_byte_us"].as_i64()) {
            (Some(true), Some(first_byte)) => Ok(first_byte),
            _ => Err(event["outcome"].to_string()),
        };
        said.insert(number.expect("a site of ours"), result);
    }
    said
}

fn curl(
    scenario: &Scenario,
    base: &str,
    ca: &Path,
    directory: &Path,
    cgroup: Option<&Cgroup>,
) -> Said {
    // As many as curl takes.
    let at_once = scenario.concurrency.min(300).to_string();
    let mut pages = String::new();
    for number in 1..=scenario.sites {
        writeln!(pages, "url = \"{base}{number}\"\noutput = \"/dev/null\"")
            .expect("a string grows");
    }
    let list = directory.join("curl");
    std::fs::write(&list, pages).expect("write curl's list");
    let mut command = within(cgroup, Path::new("curl"));
    command
        .args(["--silent", "--no-keepalive", "--max-time", "5"])
        .args([
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            &at_once,
        ])
        .args(["--header", "Connection: close"])
        .arg("--cacert")
        .arg(ca)
        .args([
            "--write-out",
            "%{url} %{exitcode} %{time_pretransfer} %{time_starttransfer}\n",
        ])
        .arg("--config")
        .arg(&list);
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        return Said::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut said = Said::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let number = words
            .next()
            .and_then(|url| url.rsplit('/').next())
            .and_then(|number| number.parse().ok());
        let code = words.next().unwrap_or_default();
        let mut seconds = || words.next().and_then(|text| text.parse::<f64>().ok());
        let (Some(number), Some(asked), Some(answered)) = (number, seconds(), seconds()) else {
            continue;
        };
        let result = match code {
            "0" => Ok(((answered - asked) * 1e6) as i64),
            other => Err(format!("code {other}")),
        };
        said.insert(number, result);
    }
    said
}

/// How far a client was off, in milliseconds: 0 within what the website's log allows.
#[derive(Default)]
struct Errors {
    off: Vec<f64>,
    truth: Vec<f64>,
    failed: HashMap<String, u32>,
}

impl Errors {
    /// Compares a round with the website's log, which begins anew.
    fn add(&mut self, said: Said, log: &Log) {
        let wrote: HashMap<u32, Wrote> = log
            .take()
            .into_iter()
            .map(|wrote| (wrote.page, wrote))
            .collect();
        for (number, result) in said {
            let reported = match result {
                Ok(reported) => reported,
                Err(why) => {
                    *self.failed.entry(why).or_default() += 1;
                    continue;
                }
            };
            let Some(wrote) = wrote.get(&number) else {
                *self.failed.entry("not in the log".to_owned()).or_default() += 1;
                continue;
            };
            let since = |at: SystemTime| match at.duration_since(wrote.asked) {
                Ok(later) => later.as_micros() as i64,
                Err(earlier) => -(earlier.duration().as_micros() as i64),
            };
            let (least, most) = (since(wrote.before), since(wrote.after));
            let off = reported - reported.clamp(least, most.max(least));
            self.off.push(off.unsigned_abs() as f64 / 1e3);
            self.truth.push(least as f64 / 1e3);
        }
    }

    fn print(mut self, name: &str) {
        if self.off.is_empty() {
            println!("  {name:<6} nothing: {:?}", self.failed);
            return;
        }
        self.off.sort_unstable_by(f64::total_cmp);
        self.truth.sort_unstable_by(f64::total_cmp);
        let at = |sorted: &[f64], part: usize| {
            let index = (sorted.len() * part / 1_000).min(sorted.len() - 1);
            sorted.get(index).copied().unwrap_or_default()
        };
        println!(
            "  {name:<6} off by: median {:.3} ms, 99 % {:.3} ms, most {:.3} ms; truth: median {:.2} ms; failed {:?}",
            at(&self.off, 500),
            at(&self.off, 990),
            at(&self.off, 1_000),
            at(&self.truth, 500),
            self.failed
        );
    }
}

/// A loop on each core, in processes of their own.
struct Busy(Vec<Child>);

impl Busy {
    fn start() -> Self {
        let here = std::env::current_exe().expect("know where this program is");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let spin = || {
            Command::new(&here)
                .arg("spin")
                .spawn()
                .expect("a busy loop")
        };
        Self((0..cores).map(|_| spin()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn within(cgroup: Option<&Cgroup>, program: &Path) -> Command {
    cgroup.map_or_else(|| Command::new(program), |cgroup| cgroup.command(program))
}
