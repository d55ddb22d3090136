//! The demo: real servers, websites that differ, and the functions run as a person would.
//!
//! Started by `tests/demo.sh`, which installs and builds what this needs.
#![allow(clippy::print_stdout, reason = "showing is what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "it reads what the person gave, to hand it to the functions"
)]

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::port;
use sitewatch_tests::postgres::Postgres;
use sitewatch_tests::websites::{Behaviour, Page, Tls, Website};

/// How long the demo's checks wait: long enough for the slow site, short enough to watch.
const CHECK_TIMEOUT: &str = "2s";

fn main() -> ExitCode {
    let mut keep = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--keep" => keep = true,
            _ => {
                println!("demo: unknown argument {argument:?}; usage: tests/demo.sh [--keep]");
                return ExitCode::from(64);
            }
        }
    }
    let began = Instant::now();
    say("Starting a real PostgreSQL and a real Apache Kafka …");
    let postgres = Postgres::start(None);
    let kafka = Kafka::start(Version::V4_1);
    let database = postgres.create_database("demo");
    println!(
        "PostgreSQL on port {}, Kafka {} on {}, after {:.1} s",
        postgres.port(),
        Version::V4_1.number(),
        kafka.bootstrap(),
        began.elapsed().as_secs_f64()
    );

    let directory = tempfile::tempdir().expect("make a temporary directory");
    let given: Vec<(String, String)> = ["SITES", "SITES_FILE"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    let local = given.is_empty().then(|| Websites::start(directory.path()));
    let sites = match &local {
        Some(websites) => {
            say("Starting nine websites that behave differently …");
            vec![
                ("SITES_FILE".to_owned(), websites.list.display().to_string()),
                (
                    "SITES_TLS_DIR".to_owned(),
                    directory.path().display().to_string(),
                ),
            ]
        }
        None => given,
    };

    let kafka_variables = [("KAFKA_BROKERS".to_owned(), kafka.bootstrap())];
    let database_variables = [("DATABASE_URL".to_owned(), database.url().to_owned())];
    let all = |parts: &[&[(String, String)]]| -> Vec<(String, String)> { parts.concat() };
    let timeout = [("CHECK_TIMEOUT".to_owned(), CHECK_TIMEOUT.to_owned())];
    let recent = [("REPORT_RECENT".to_owned(), "20".to_owned())];
    let steps = [
        (
            "setup",
            "makes the tables and the topic",
            all(&[&kafka_variables, &database_variables]),
        ),
        (
            "probe",
            "checks each site once and publishes what it found",
            all(&[&kafka_variables, &sites, &timeout]),
        ),
        (
            "drain",
            "moves what is pending on the topic into PostgreSQL",
            all(&[&kafka_variables, &database_variables]),
        ),
        (
            "report",
            "says what is up and what is down, and since when",
            all(&[&database_variables]),
        ),
        (
            "report",
            "shows each check as it was recorded: why it failed, how long each phase took",
            all(&[&database_variables, &recent]),
        ),
    ];
    for (function, about, variables) in &steps {
        if let Err(why) = run(function, about, variables) {
            println!("{why}");
            return ExitCode::FAILURE;
        }
    }
    if keep {
        say("The stack stays up until you press Ctrl-C. In another terminal:");
        for (name, value) in all(&[&kafka_variables, &database_variables, &sites]) {
            println!("export {name}='{value}'");
        }
        println!("export PATH='{}':\"$PATH\"", executables().display());
        loop {
            std::thread::sleep(Duration::from_secs(3_600));
        }
    }
    say(&format!(
        "Done after {:.1} s; everything is stopped and nothing is left behind.",
        began.elapsed().as_secs_f64()
    ));
    ExitCode::SUCCESS
}

/// The local websites; they stop when this is dropped.
struct Websites {
    list: PathBuf,
    _running: Vec<Website>,
}

impl Websites {
    fn start(directory: &Path) -> Self {
        let authority = CertificateAuthority::new("demo CA");
        let ca = directory.join("ca.pem");
        std::fs::write(&ca, authority.pem()).expect("write the CA certificate");
        let page = || Page::ok("<h1>Welcome</h1> to a page that is as it should be");
        let welcome = || Behaviour::Page(page());
        let running = [
            ("fast-and-right", Website::start(welcome())),
            (
                "slow",
                Website::start(Behaviour::Slow {
                    delay: Duration::from_millis(700),
                    page: page(),
                }),
            ),
            (
                "status-500",
                Website::start(Behaviour::Page(Page::new(500, "<h1>Welcome</h1> … not"))),
            ),
            ("wrong-text", Website::up("Site under construction")),
            (
                "tls-private-ca",
                Website::start_tls(welcome(), &Tls::new(&authority, Kind::Good)),
            ),
            (
                "tls-expired",
                Website::start_tls(welcome(), &Tls::new(&authority, Kind::Expired)),
            ),
            ("never-answers", Website::start(Behaviour::NeverAnswers)),
            ("refuses", Website::start(Behaviour::Refuses)),
        ];
        let mut sites: Vec<serde_json::Value> = running
            .iter()
            .map(|(name, website)| {
                serde_json::json!({
                    "name": name,
                    "url": website.url_on("localhost"),
                    "regex": "<h1>Welcome</h1>",
                    "tls_ca_file": ca,
                })
            })
            .collect();
        sites.push(serde_json::json!({
            "name": "no-such-host",
            // RFC 2606 keeps .invalid free of names for ever.
            "url": format!("http://no-such-host.invalid:{}/", port::reserve()),
        }));
        let list = directory.join("sites.json");
        std::fs::write(&list, serde_json::Value::from(sites).to_string())
            .expect("write the list of sites");
        Self {
            list,
            _running: running.into_iter().map(|(_, website)| website).collect(),
        }
    }
}

/// The directory of the functions' executables: they are built beside this one.
fn executables() -> PathBuf {
    let here = std::env::current_exe().expect("know where this program is");
    here.parent()
        .expect("a program is in a directory")
        .to_owned()
}

fn run(function: &str, about: &str, variables: &[(String, String)]) -> Result<(), String> {
    let (bold, plain) = if std::io::stdout().is_terminal() {
        ("\u{1b}[1m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    println!("\n# {function} {about}");
    for (name, value) in variables {
        println!("  {name}={}", masked(value));
    }
    println!("{bold}$ {function}{plain}");
    std::io::stdout().flush().ok();
    let ended = Command::new(executables().join(function))
        .env_clear()
        .env("TERM", std::env::var_os("TERM").unwrap_or_default())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .current_dir(std::env::temp_dir())
        .status()
        .map_err(|error| format!("{function} could not be started: {error}"))?;
    if ended.success() {
        Ok(())
    } else {
        Err(format!("{function} ended with {ended}"))
    }
}

/// The password of the demo's database is no secret, but a habit is a habit.
fn masked(value: &str) -> String {
    match value.split_once("://").and_then(|(scheme, rest)| {
        let (credentials, rest) = rest.split_once('@')?;
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{rest}"))
    }) {
        Some(masked) => masked,
        None => value.to_owned(),
    }
}

fn say(text: &str) {
    println!("\n{text}");
}
