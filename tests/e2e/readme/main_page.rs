//! `README.md`.

use std::fs;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::postgres::{Postgres, Tls};
use sitewatch_tests::shared;
use sitewatch_tests::websites::{Behaviour, Website};

use super::{Block, Shell};
use crate::documents::root;
use crate::support::{Prepared, down, last_line, lines, unique};

/// Lines as they are whenever and wherever they are written: without times, durations and ports, and
/// without what lines columns up.
fn undated(text: &str) -> Vec<String> {
    static DIFFERS: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        [
            (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\dZ| UTC)", "DATE"),
            (r"<?\d[\d.]* (ms|s)\b", "DURATION"),
            (r"127\.0\.0\.1:\d+", "ADDRESS"),
            (" +", " "),
        ]
        .map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead))
    });
    text.lines()
        .map(|line| {
            let line = DIFFERS
                .iter()
                .fold(line.to_owned(), |line, (differs, instead)| {
                    differs.replace_all(&line, *instead).into_owned()
                });
            line.trim().to_owned()
        })
        .collect()
}

pub(super) fn demo(block: &Block) {
    // What the tests run is built already, and the suite would start itself.
    let target = Run::setup().executable().parent().unwrap().to_owned();
    let said = Shell::new()
        .in_the_repository()
        .without("cargo")
        .var(
            "CARGO_TARGET_DIR",
            target.parent().unwrap().to_str().unwrap(),
        )
        .run(&block.replace("./tests/run.sh", "test -x tests/run.sh"))
        .stdout_has("everything is stopped and nothing is left behind");
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, shown) = page.split_once("```\n checked at ").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let (_, ends_on) = said.stdout.split_once("\n checked at ").unwrap();
    let (ends_on, _) = ends_on.split_once("\n\n").unwrap();
    // The nine are checked at the same time.
    let sorted = |text: &str| {
        let mut lines = undated(text);
        lines[1..].sort();
        lines
    };
    assert_eq!(sorted(ends_on), sorted(shown), "{said}");
}

pub(super) fn locations(block: &Block) {
    let topic = unique("locations");
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic(&topic, 3);
    let prepared = Prepared::new("locations");
    // Who is in New York is turned away.
    let shop = Website::start(Behaviour::custom(|request, to| {
        let status = match request.header("user-agent") {
            Some("nyc1") => "503 Service Unavailable",
            _ => "200 OK",
        };
        write!(to, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
    }));
    let blog = Website::up("blog");
    let sites = json!([
        {"name": "shop", "url": shop.url(), "agree": "majority"},
        {"name": "blog", "url": blog.url()},
    ]);
    Run::setup()
        .var("DATABASE_URL", prepared.url())
        .var("SETUP_TOPIC", "false")
        .var("SITES", sites.to_string())
        .run()
        .exits(0);
    let said = Shell::new()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", topic)
        .var("DATABASE_URL", prepared.url())
        .var("SITES", sites.to_string())
        // Where a probe is, the website of this test knows by its name only.
        .run(
            &block
                .replace("=fra1 probe", "=fra1 CHECK_USER_AGENT=fra1 probe")
                .replace("=nyc1 probe", "=nyc1 CHECK_USER_AGENT=nyc1 probe"),
        );
    assert_eq!(undated(&said.stdout), undated(&block.output()), "{said}");
    assert_eq!(
        last_line(&said.stderr),
        "2 sites: 1 up, 0 down, 0 unknown, 1 degraded"
    );
}

pub(super) fn without_servers(block: &Block) {
    let website = Website::up("fine");
    let said = Shell::new().run(&block.replace("https://example.org", website.url()));
    assert!(said.stdout.starts_with('{'), "{said}");
    assert_eq!(said.stdout.lines().count(), 1, "{said}");
}

/// A Kafka that asks for certificates, and a PostgreSQL that takes nothing unencrypted.
pub(super) fn hosted_servers(block: &Block) {
    let kafka = shared::kafka(Version::V4_1);
    let server = Postgres::options()
        .tls(shared::authority(), Tls::Required)
        .start();
    let database = server.create_database("hosted");
    let website = Website::up("fine");
    let shell = Shell::new().var("KAFKA_TOPIC", unique("hosted"));
    let certificates = shell.work().join("certs");
    fs::create_dir(&certificates).unwrap();
    for file in ["ca.pem", "service.cert", "service.key"] {
        fs::copy(kafka.certificate_dir().join(file), certificates.join(file)).unwrap();
    }
    let block = block
        .replace("kafka.example:21701", kafka.ssl_bootstrap())
        .replace(
            "postgres://sitewatch:secret@postgresql.example:21699/sitewatch",
            database.url(),
        )
        .replace("https://example.org", website.url())
        .replace("https://example.com", website.url_on("localhost"));
    let said = shell.run(&block);
    assert_eq!(last_line(&said.stderr), "2 sites: 2 up, 0 down, 0 unknown");
    // As the page has it of who wants to be sure of PostgreSQL; the CA is one for both here.
    let verified = block.replace("=require", "=verify-full");
    shell.var("DATABASE_CA_FILE", "certs/ca.pem").run(&verified);
}

/// A person's crontab, which a line is added to.
const CRONTAB: &str = r#"#!/bin/sh
case $1 in
-l) echo '0 6 * * * backup' ;;
-) cat >"$HOME/crontab" ;;
esac
"#;

pub(super) fn other_functions(block: &Block) {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("usual");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("usual");
    let website = Website::up("fine");
    let receiver = Website::up("ok");
    let failed = prepared.drain().var("DRAIN_SOURCE", "stdin");
    failed.stdin(lines(&[down("shop", 5)])).run().exits(0);
    let shell = Shell::new().with("crontab", CRONTAB);
    let work = shell.work();
    let env = format!(
        "KAFKA_BROKERS={}\nKAFKA_TOPIC={topic}\nDATABASE_URL={}\nSITES={}\n",
        kafka.bootstrap(),
        prepared.url(),
        website.url()
    );
    fs::write(work.join(".env"), env).unwrap();
    for directory in ["www", "metrics"] {
        fs::create_dir(work.join(directory)).unwrap();
    }
    shell.run(
        &block
            .replace(
                "slack+https://hooks.slack.com/",
                format!("slack+{}", receiver.url()),
            )
            .replace("/var/www/status/", "www/")
            .replace("/var/lib/node_exporter/", "metrics/"),
    );
    assert_eq!(receiver.requests().len(), 1);
    for file in ["www/index.html", "metrics/sitewatch.prom"] {
        let text = fs::read_to_string(work.join(file)).unwrap();
        assert!(text.contains("shop"), "{file}: {text}");
    }

    let crontab = fs::read_to_string(work.parent().unwrap().join("home/crontab")).unwrap();
    let (own, added) = crontab.split_once('\n').unwrap();
    assert_eq!(own, "0 6 * * * backup");
    assert_eq!(added.lines().count(), 2, "{crontab}");
    for line in added.lines() {
        let command = line.splitn(6, ' ').nth(5).unwrap();
        assert!(!command.contains('%'), "to cron a % ends the command");
        // Silent, so that nobody gets a mail about nothing. The minute begins when this test does.
        Run::program("/bin/sh")
            .arg("-c")
            .arg(command)
            .bare()
            .var("PATH", "/usr/bin:/bin")
            .var(
                "PROBE_PHASE",
                format!("{}s", jiff::Timestamp::now().as_second() % 60),
            )
            .run()
            .exits(0)
            .stdout_is("")
            .stderr_is("");
    }
    assert_eq!(prepared.count("select count(*) from checks"), 2);
}
