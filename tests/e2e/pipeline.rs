//! The whole way: a website is checked, the check travels through Kafka, a person sees it.

use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::certificates::Kind;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::shared;
use sitewatch_tests::websites::{Behaviour, Page, Tls, Website};

use crate::support::{Prepared, last_line, unique};

fn states(prepared: &Prepared) -> Vec<String> {
    let json = prepared
        .report()
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0)
        .stdout;
    let mut states: Vec<String> = json
        .lines()
        .map(|line| {
            let site: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {} {}",
                site["site"].as_str().unwrap(),
                site["state"].as_str().unwrap(),
                site["outcome"].as_str().unwrap()
            )
        })
        .collect();
    states.sort();
    states
}

/// Sites of every kind, as a JSON list.
struct Sites {
    list: String,
    _running: Vec<Website>,
    _ca: tempfile::NamedTempFile,
}

fn sites() -> Sites {
    let authority = shared::authority();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), authority.pem()).unwrap();
    let page = || Behaviour::Page(Page::ok("<h1>Welcome</h1>"));
    let running = vec![
        Website::start(page()),
        Website::start(Behaviour::Page(Page::new(500, "oops"))),
        Website::up("under construction"),
        Website::start_tls(page(), &Tls::new(authority, Kind::Good)),
        Website::start_tls(page(), &Tls::new(authority, Kind::Expired)),
        Website::start(Behaviour::NeverAnswers),
        Website::start(Behaviour::Refuses),
    ];
    let names = [
        "good", "status", "text", "tls", "expired", "silent", "refuses",
    ];
    let mut list: Vec<serde_json::Value> = names
        .iter()
        .zip(&running)
        .map(|(name, website)| {
            serde_json::json!({
                "name": name,
                "url": website.url_on("localhost"),
                "regex": "Welcome",
                // Long enough that a busy machine's own delay is a small part of it.
                "timeout": "4s",
                "tls_ca_file": ca.path(),
            })
        })
        .collect();
    list.push(serde_json::json!({"name": "nowhere", "url": "http://nowhere.invalid/"}));
    Sites {
        list: serde_json::Value::from(list).to_string(),
        _running: running,
        _ca: ca,
    }
}

const EXPECTED: [&str; 8] = [
    "expired down certificate",
    "good up up",
    "nowhere down dns",
    "refuses down connect",
    "silent down timeout",
    "status down status",
    "text down body",
    "tls up up",
];

fn from_a_website_to_a_report(version: Version, client: &str, security: fn(Run, &Kafka) -> Run) {
    let kafka = shared::kafka(version);
    let topic = unique("pipeline");
    kafka.create_topic(&topic, 3);
    let prepared = Prepared::new("pipeline");
    let sites = sites();
    let with_kafka = |run: Run| {
        security(run, kafka)
            .var("KAFKA_TOPIC", &topic)
            .var("KAFKA_CLIENT", client)
    };
    let probe = with_kafka(Run::probe())
        .var("SITES", &sites.list)
        .var("SITES_TLS_DIR", std::env::temp_dir())
        .run()
        .exits(0);
    assert_eq!(last_line(&probe.stderr), "8 checks: 2 up, 6 down");
    let drain = with_kafka(prepared.drain()).run().exits(0);
    assert_eq!(last_line(&drain.stderr), "8 checks recorded");
    assert_eq!(states(&prepared), EXPECTED);
}

fn plain(run: Run, kafka: &Kafka) -> Run {
    run.var("KAFKA_BROKERS", kafka.bootstrap())
}

fn mutual_tls(run: Run, kafka: &Kafka) -> Run {
    run.var("KAFKA_ENDPOINT", kafka.ssl_bootstrap())
        .var("KAFKA_CERT_DIR", kafka.certificate_dir())
}

#[test]
fn through_kafka_3_9() {
    from_a_website_to_a_report(Version::V3_9, "rdkafka", plain);
}

#[test]
fn through_kafka_4_1() {
    from_a_website_to_a_report(Version::V4_1, "rdkafka", plain);
}

#[test]
fn through_kafka_3_9_by_the_pure_rust_client() {
    from_a_website_to_a_report(Version::V3_9, "kafka", plain);
}

#[test]
fn through_kafka_3_9_over_mutual_tls() {
    from_a_website_to_a_report(Version::V3_9, "rdkafka", mutual_tls);
}

#[test]
fn through_kafka_4_1_over_mutual_tls() {
    from_a_website_to_a_report(Version::V4_1, "rdkafka", mutual_tls);
}

#[test]
fn through_kafka_3_9_over_mutual_tls_by_the_pure_rust_client() {
    from_a_website_to_a_report(Version::V3_9, "kafka", mutual_tls);
}

#[test]
fn through_a_pipe_without_any_kafka() {
    let prepared = Prepared::new("pipe");
    let sites = sites();
    let probe = Run::probe()
        .var("SITES", &sites.list)
        .var("SITES_TLS_DIR", std::env::temp_dir())
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(0);
    assert_eq!(probe.stdout.lines().count(), 8, "{}", probe.stdout);
    let drain = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(probe.stdout)
        .run()
        .exits(0);
    assert_eq!(last_line(&drain.stderr), "8 checks recorded");
    assert_eq!(states(&prepared), EXPECTED);
}

#[test]
fn sites_may_come_from_the_database() {
    let prepared = Prepared::new("sites");
    let sites = sites();
    Run::setup()
        .var("DATABASE_URL", prepared.url())
        .var("SETUP_TOPIC", "false")
        .var("SITES", &sites.list)
        .run()
        .exits(0);
    prepared
        .client()
        .batch_execute("update websites set enabled = false where name = 'silent'")
        .unwrap();
    let probe = Run::probe()
        .var("DATABASE_URL", prepared.url())
        .var("SITES_FROM", "database")
        .var("SITES_TLS_DIR", std::env::temp_dir())
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(0);
    assert_eq!(last_line(&probe.stderr), "7 checks: 2 up, 5 down");
}

#[test]
fn a_wrong_list_of_sites_is_told_with_every_place() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("sites.json");
    let probe = |text: &str| {
        std::fs::write(&list, text).unwrap();
        Run::probe()
            .var("SITES_FILE", &list)
            .var("PROBE_SINK", "stdout")
            .run()
            .exits(78)
    };
    let name = list.display();
    probe("[{").logs(&format!(
        r#"ERROR probe: {name}: not JSON: EOF while parsing an object at line 1 column 2
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#
    ));
    probe(
        r#"[{"url": "https://a.example", "name": "a", "regex": "(x"},
            {"url": "ftp://b.example"},
            {"url": "https://c.example", "name": "a", "interval": -5},
            {"url": "https://d.example", "rexeg": "x"}]"#,
    )
    .logs(&format!(
        r#"ERROR probe: 5 problems in the configuration
  {name}: site 1 (a): regex "(x" is not a regular expression: unclosed group at character 1
  {name}: site 2 (ftp://b.example): url has the scheme "ftp"; wants http or https
  {name}: site 3 (a): name is also the name of site 1; give each site a name of its own
  {name}: site 3 (a): interval is -5; wants seconds such as 60, or a duration such as "500ms"
  {name}: site 4 (https://d.example): rexeg is not a field of a site; did you mean "regex"?
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#
    ));
    Run::probe()
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(78)
        .logs(r#"ERROR probe: none of SITES, SITES_FILE and SITES_FROM is set: there is nothing to check; for example SITES=https://example.org
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#);
}

#[test]
fn a_signal_ends_a_probe_that_waits_for_a_silent_site() {
    let silent = Website::start(Behaviour::NeverAnswers);
    let run = Run::probe()
        .var("SITES", silent.url())
        .var("CHECK_TIMEOUT", "60s")
        .var("PROBE_SINK", "stdout")
        .spawn();
    sitewatch_tests::wait::until("the site is asked", Duration::from_secs(60), || {
        silent.connections() > 0
    });
    let asked = std::time::Instant::now();
    run.signal(Signal::TERM);
    let finished = run.wait().exits(75);
    assert!(
        asked.elapsed() < sitewatch_tests::wait::SOON,
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(
        finished.stdout, "",
        "a check that was cancelled is not a result"
    );
}

#[test]
fn a_site_that_is_down_fails_the_run_only_when_asked_to() {
    let down = Website::start(Behaviour::Page(Page::new(503, "")));
    let probe = || {
        Run::probe()
            .var("SITES", down.url())
            .var("PROBE_SINK", "stdout")
    };
    probe().run().exits(0);
    probe().var("PROBE_FAIL_ON_DOWN", "yes").run().exits(1);
}

#[test]
fn a_dead_mans_switch_hears_of_start_success_and_failure() {
    let switch = Website::up("OK");
    let probe = |site: &str| {
        Run::probe()
            .var("SITES", site)
            .var("PROBE_SINK", "stdout")
            .var("PROBE_FAIL_ON_DOWN", "true")
            .var("HEARTBEAT_URL", format!("{}hunter2", switch.url()))
            .run()
    };
    let good = Website::up("fine");
    let finished = probe(&good.url()).exits(0);
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    let down = Website::start(Behaviour::Page(Page::new(503, "")));
    probe(&down.url()).exits(1);
    let paths: Vec<String> = switch
        .requests()
        .iter()
        .map(|request| request.target.clone())
        .collect();
    assert_eq!(
        paths,
        [
            "/hunter2/start",
            "/hunter2",
            "/hunter2/start",
            "/hunter2/fail"
        ]
    );
}

#[test]
fn a_switch_that_takes_exit_codes_is_told_them() {
    let switch = Website::up("ok");
    let down = Website::start(Behaviour::Page(Page::new(503, "")));
    let nobody = sitewatch_tests::port::reserve();
    let url = format!("{}hunter2/{{code}}", switch.url());
    let probe = || {
        Run::probe()
            .var("SITES", down.url())
            .var("PROBE_FAIL_ON_DOWN", "true")
            .var("HEARTBEAT_URL", &url)
    };
    probe().var("PROBE_SINK", "stdout").run().exits(1);
    probe()
        .var("KAFKA_BROKERS", format!("127.0.0.1:{nobody}"))
        .var("KAFKA_TIMEOUT", "1s")
        .run()
        .exits(69);
    let paths: Vec<String> = switch
        .requests()
        .iter()
        .map(|request| request.target.clone())
        .collect();
    assert_eq!(
        paths,
        [
            "/hunter2/start",
            "/hunter2/1",
            "/hunter2/start",
            "/hunter2/69"
        ]
    );
}

#[test]
fn a_switch_that_does_not_answer_is_a_warning_without_its_address() {
    let good = Website::up("fine");
    let refuses = Website::start(Behaviour::Refuses);
    Run::probe()
        .var("SITES", good.url())
        .var("PROBE_SINK", "stdout")
        .var("HEARTBEAT_URL", format!("{}hunter2", refuses.url()))
        // The first is sent while the checks are made: its answer may come after the summary.
        .var("LOG_LEVEL", "warn")
        .run()
        .exits(0)
        .logs(r#"WARN  probe: the heartbeat was not taken: Connection refused (os error 111); check HEARTBEAT_URL, of which /start was asked
WARN  probe: the heartbeat was not taken: Connection refused (os error 111); check HEARTBEAT_URL
"#);
}

/// A login page says 200 to everything.
#[test]
fn a_heartbeat_follows_no_redirect_into_a_success() {
    let good = Website::up("fine");
    let login = Website::up("log in");
    let redirects = Website::start(Behaviour::Redirect {
        to: format!("{}login?for=hunter2", login.url()),
        hops: 1,
    });
    let to = login.url();
    let to = to.trim_end_matches('/');
    Run::probe()
        .var("SITES", good.url())
        .var("PROBE_SINK", "stdout")
        .var("HEARTBEAT_URL", format!("{}hunter2", redirects.url()))
        // The first is sent while the checks are made: its answer may come after the summary.
        .var("LOG_LEVEL", "warn")
        .run()
        .exits(0)
        .logs(&format!(r#"WARN  probe: the heartbeat was not taken: 302 Found: it redirects to {to}; redirects are not followed; check HEARTBEAT_URL, of which /start was asked
WARN  probe: the heartbeat was not taken: 302 Found: it redirects to {to}; redirects are not followed; check HEARTBEAT_URL
"#));
    assert_eq!(login.connections(), 0);
}

#[test]
fn a_probe_without_its_kafka_says_so_in_time() {
    let good = Website::up("fine");
    let nobody = sitewatch_tests::port::reserve();
    let finished = Run::probe()
        .var("SITES", good.url())
        .var("KAFKA_BROKERS", format!("127.0.0.1:{nobody}"))
        .var("KAFKA_TIMEOUT", "1s")
        .run()
        .exits(69)
        .logs(&format!("ERROR probe: cannot reach Kafka at 127.0.0.1:{nobody}: Connection refused; check KAFKA_BROKERS and that the broker is running (exit code 69)\n"));
    assert!(
        finished.elapsed < Duration::from_secs(8),
        "{:?}",
        finished.elapsed
    );
}
