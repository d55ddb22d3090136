//! A run as its scheduler sees it: signals, deadlines, exit codes, bad input.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use rustix::process::Signal;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use sitewatch::event::Outcome;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::wait;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{assert_is, events, plain, probe, site};
use crate::support::Prepared;

fn many(url: &str, count: usize, more: &Value) -> Vec<Value> {
    (0..count)
        .map(|number| site(&format!("site-{number}"), url, more))
        .collect()
}

#[test]
fn a_signal_ends_a_round_within_a_second_or_two() {
    let hangs = Website::start(Behaviour::NeverAnswers);
    let run = probe(&many(&hangs.url(), 50, &json!({"timeout": "50s"})))
        .var("CHECK_CONCURRENCY", "20")
        .spawn();
    wait::until("checks under way", Duration::from_secs(60), || {
        hangs.connections() >= 20
    });
    let signalled = std::time::Instant::now();
    run.signal(Signal::TERM);
    let finished = run.wait().exits(75);
    assert!(signalled.elapsed() < wait::SOON, "{finished}");
    finished
        .stdout_is("")
        .logs("WARN  probe: 0 checks: 0 up, 0 down, 30 not begun, stopped by a signal\n");
}

#[test]
fn a_deadline_leaves_the_rest_to_the_next_run() {
    let website = Website::start(Behaviour::Slow {
        delay: Duration::from_millis(300),
        page: Page::ok("x"),
    });
    let finished = probe(&many(&website.url(), 40, &plain()))
        .var("CHECK_CONCURRENCY", "4")
        .var("PROBE_DEADLINE", "1s")
        .run()
        .exits(75);
    let made = finished.stdout.lines().count();
    assert!((1..=16).contains(&made), "{finished}");
    assert!(finished.elapsed < wait::SOON, "{finished}");
    finished.stderr_has("not begun, stopped by its deadline");
}

#[test]
fn a_check_that_the_deadline_cuts_says_nothing_of_its_site() {
    // The end of this body is the end of the connection, whoever ends it.
    let website = Website::start(Behaviour::custom(|_, to| {
        to.write_all(b"HTTP/1.0 200 OK\r\n\r\nnot yet")?;
        thread::sleep(Duration::from_secs(4));
        Ok(())
    }));
    probe(&[
        site("regex", &website.url(), &json!({"regex": "at last"})),
        site("regex_not", &website.url(), &json!({"regex_not": "broken"})),
    ])
    .var("PROBE_DEADLINE", "1s")
    .run()
    .exits(75)
    .stdout_is("");
    assert!(website.connections() > 0);
}

#[test]
fn sites_that_are_down_are_no_failure_unless_asked_for() {
    let website = Website::start(Behaviour::Page(Page::new(500, "x")));
    let sites = [site("site", &website.url(), &plain())];
    probe(&sites)
        .run()
        .exits(0)
        .logs("INFO  probe: 1 check: 0 up, 1 down\n");
    probe(&sites)
        .var("PROBE_FAIL_ON_DOWN", "true")
        .run()
        .exits(1);
}

#[test]
fn nobody_reads_the_results() {
    let website = Website::up("x");
    let finished = Run::program("/bin/sh")
        .arg("-c")
        .arg(format!(
            "({}; echo code $? >&2) | true",
            Run::probe().executable().display()
        ))
        .var(
            "SITES",
            Value::from(many(&website.url(), 200, &plain())).to_string(),
        )
        .var("PROBE_SINK", "stdout")
        .run();
    finished
        .stderr_has("standard output cannot be written")
        .stderr_has("code 69");
}

#[test]
fn a_check_says_for_which_slot_it_was_made() {
    let website = Website::up("x");
    let sites = [
        site("each minute", &website.url(), &json!({"interval": 60})),
        site("each hour", &website.url(), &json!({"interval": 3600})),
    ];
    let finished = probe(&sites).var("PROBE_PERIOD", "1h").run().exits(0);
    let found = events(&finished);
    for event in found.values() {
        // What comes round several times in a period is checked once in it, at its beginning.
        assert_eq!(event.interval_ms, Some(3_600_000), "{event:?}");
        let slot = event.scheduled_at.unwrap();
        assert_eq!(slot.as_microsecond() % 3_600_000_000, 0, "{event:?}");
        let apart = event.checked_at.duration_since(slot).abs();
        assert!(apart <= SignedDuration::from_mins(90), "{event:?}");
    }
    assert_eq!(found.len(), 2);

    for event in events(&probe(&sites).run().exits(0)).values() {
        assert_eq!((event.scheduled_at, event.interval_ms), (None, None));
    }
}

#[test]
fn a_window_checks_sites_at_their_own_interval() {
    let website = Website::up("x");
    let sites = [
        site("each second", &website.url(), &json!({"interval": 1})),
        site("each hour", &website.url(), &json!({"interval": 3600})),
    ];
    let finished = probe(&sites).var("PROBE_WINDOW", "3s").run().exits(0);
    let of = |name: &str| {
        finished
            .stdout
            .lines()
            .filter(|line| line.contains(name))
            .count()
    };
    assert_eq!((of("each second"), of("each hour")), (3, 1), "{finished}");
    assert!(finished.elapsed < wait::SOON, "{finished}");
}

#[test]
fn shards_divide_the_sites() {
    let website = Website::up("x");
    let sites = many(&website.url(), 30, &plain());
    let mut all = BTreeSet::new();
    for index in ["0", "1", "2"] {
        let finished = probe(&sites)
            .var("PROBE_SHARD_COUNT", "3")
            .var("JOB_COMPLETION_INDEX", index)
            .run()
            .exits(0);
        for name in events(&finished).into_keys() {
            assert!(all.insert(name.clone()), "{name} is in two shards");
        }
    }
    assert_eq!(all.len(), 30);
}

/// Ends busy threads, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A run whose probe shares its only CPU with threads that the kernel prefers.
pub(super) fn starved(sites: &[Value]) -> Finished {
    let starved = Run::program("taskset")
        .arg("--cpu-list")
        .arg("0")
        .arg("nice")
        .arg("-n10")
        .arg(Run::probe().executable())
        .var("SITES", Value::from(sites.to_vec()).to_string())
        .var("SITES_TLS_DIR", std::env::temp_dir())
        .var("PROBE_SINK", "stdout");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut first = CpuSet::new();
                first.set(0);
                sched_setaffinity(None, &first).unwrap();
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let _over = Over(&over);
        starved.run()
    })
}

#[test]
fn a_cpu_that_has_no_time_for_us_is_not_the_sites_fault() {
    const SITES: usize = 60;
    let website = Website::up("hello");
    // The website itself must get by with what the busy threads leave.
    let finished = starved(&many(&website.url(), SITES, &json!({"timeout": "1s"})));
    let events = events(&finished);
    assert_eq!(events.len(), SITES);
    let (mut waited, mut by_kernel) = (0, 0);
    for event in events.values() {
        match event.outcome {
            Outcome::Up => assert!(event.total_us < 1_000_000, "{event:?}"),
            Outcome::Local => assert_eq!(event.up, None),
            _ => panic!("{event:?}"),
        }
        waited += usize::from(event.local_wait_us.is_some_and(|waited| waited > 500));
        by_kernel += usize::from(event.clock.as_deref() == Some("kernel"));
    }
    assert!(waited > 0, "nothing waited: {finished}");
    assert!(by_kernel > 0, "no time is the kernel's: {finished}");
}

/// Whatever this machine's name server does with a name that cannot exist.
#[test]
fn a_name_is_looked_up_once_a_round_and_never_longer_than_the_timeout() {
    let finished = probe(&many(
        "http://nothing.invalid/",
        20,
        &json!({"timeout": "2s"}),
    ))
    .run()
    .exits(0);
    assert!(finished.elapsed < wait::SOON, "{finished}");
    let events = events(&finished);
    assert_eq!(events.len(), 20);
    if events.values().all(|event| event.outcome == Outcome::Dns) {
        let looked_up = events
            .values()
            .filter(|event| event.dns_us.is_some())
            .count();
        assert_eq!(looked_up, 1, "look-ups of one name: {finished}");
    }
}

#[test]
fn sites_come_from_the_database() {
    let website = Website::up("hello");
    let prepared = Prepared::new("probe");
    let sites = json!([
        {"name": "right", "url": website.url(), "regex": "hello", "timeout": "5s", "labels": {"a": "b"}},
        {"name": "wrong", "url": website.url(), "regex": "bye"},
        {"name": "off", "url": website.url(), "enabled": false},
    ]);
    Run::setup()
        .var("DATABASE_URL", prepared.url())
        .var("SETUP_TOPIC", "false")
        .var("SITES", sites.to_string())
        .run()
        .exits(0);
    let run = || {
        Run::probe()
            .var("SITES_FROM", "database")
            .var("DATABASE_URL", prepared.url())
            .var("PROBE_SINK", "stdout")
    };
    let finished = run().run().exits(0);
    let seen = events(&finished);
    assert_eq!(seen.len(), 2);
    assert_is(&seen["right"], Outcome::Up, "");
    assert_eq!(seen["right"].labels["a"], "b");
    assert_is(&seen["wrong"], Outcome::Body, "\"bye\" not found");

    let mut client = prepared.client();
    client
        .batch_execute("update websites set up_regex = '(' where name = 'wrong'")
        .unwrap();
    // Whoever makes one row invalid must not switch off the monitoring of the others.
    let finished = run()
        .run()
        .exits(78)
        .logs(r#"ERROR probe: table websites, by name: site 2 (wrong): regex "(" is not a regular expression: unclosed group at character 1
WARN  probe: 1 check: 1 up, 0 down, 1 site of the table not checked
"#);
    assert_eq!(Vec::from_iter(events(&finished).keys()), ["right"]);
    client
        .batch_execute(
            r#"update websites set up_regex = null,
                   settings = '{"bearer_token": {"env": "SITE_SECRET_MISSING"}, "tls_ca_file": "/nowhere/ca.pem"}'
               where name = 'wrong'"#,
        )
        .unwrap();
    let finished = run().run().exits(78).logs(
        r#"ERROR probe: 2 problems in the configuration
  site wrong: bearer_token names the variable SITE_SECRET_MISSING, which is not set
  site wrong: tls_ca_file /nowhere/ca.pem cannot be used: SITES_TLS_DIR is not set
WARN  probe: 1 check: 1 up, 0 down, 1 site of the table not checked
"#,
    );
    assert_eq!(events(&finished).len(), 1);
    run()
        .var("PROBE_DRY_RUN", "true")
        .run()
        .exits(78)
        .stdout_has("right")
        .logs(
            r#"ERROR probe: 2 problems in the configuration
  site wrong: bearer_token names the variable SITE_SECRET_MISSING, which is not set
  site wrong: tls_ca_file /nowhere/ca.pem cannot be used: SITES_TLS_DIR is not set
WARN  probe: dry run: 1 check of 1 site due, 1 site of the table cannot be checked, nothing checked
"#,
        );
    Run::probe()
        .var("SITES_FROM", "database")
        .var("DATABASE_URL", "postgres://me:hush@127.0.0.1:1/none")
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(69);
}

#[test]
fn a_site_may_ask_for_less_than_the_operator_allows_and_not_for_more() {
    let website = Website::up("x");
    let more =
        json!({"timeout": "90s", "connect_timeout": "61s", "retries": 11, "body_limit": "2MiB"});
    let sites = [site("site", &website.url(), &more)];
    probe(&sites).run().exits(78).stdout_is("").logs(
        r#"ERROR probe: 4 problems in the configuration
  SITES: site 1 (site): timeout is 90s; wants 1ms to 60s (CHECK_MAX_TIMEOUT)
  SITES: site 1 (site): connect_timeout is 61s; wants 1ms to 60s (CHECK_MAX_TIMEOUT)
  SITES: site 1 (site): retries is 11; at most 10 (CHECK_MAX_RETRIES)
  SITES: site 1 (site): body_limit is 2097152; at most 1048576 (CHECK_MAX_BODY)
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#,
    );
    // What the operator gives unasked may be asked for as well.
    let raised = [
        ("CHECK_TIMEOUT", "90s"),
        ("CHECK_RETRIES", "11"),
        ("CHECK_MAX_BODY", "2MiB"),
    ];
    probe(&sites).vars(raised).run().exits(0);
    let raised = [
        ("CHECK_MAX_TIMEOUT", "2m"),
        ("CHECK_MAX_RETRIES", "20"),
        ("CHECK_MAX_BODY", "3MiB"),
    ];
    probe(&sites).vars(raised).run().exits(0);
}

#[test]
fn everything_wrong_is_said_at_once() {
    Run::probe()
        .var("SITES", r#"[{"url": "https://a.example", "regexp": "x"}, {"url": "https://me:hush@b.example", "interval": -5}]"#)
        .var("PROBE_SINK", "kafka")
        .var("PROBE_SHARD_INDEX", "3")
        .var("PROBE_SHARD_COUNT", "3")
        .var("PROBE_PERIOD", "1m")
        .var("PROBE_WINDOW", "2m")
        .var("PROBE_DENY_NETWORKS", "privat")
        .var("CHECK_TIMEOUT", "soon")
        .var("CHECK_RETRIES", "3")
        .var("CHECK_MAX_RETRIES", "2")
        .run()
        .exits(78)
        .stdout_is("")
        .logs(
            r#"ERROR probe: 10 problems in the configuration
  CHECK_TIMEOUT is "soon"; wants a duration, for example 10s
  CHECK_RETRIES is 3, more than CHECK_MAX_RETRIES (2)
  SITES: site 1 (https://a.example): retries is 3; at most 2 (CHECK_MAX_RETRIES)
  SITES: site 1 (https://a.example): regexp is not a field of a site; did you mean "regex"?
  SITES: site 2: interval is -5; wants seconds such as 60, or a duration such as "500ms"
  SITES: site 2: retries is 3; at most 2 (CHECK_MAX_RETRIES)
  PROBE_WINDOW is 120s, longer than PROBE_PERIOD (60s): runs would do each other's work
  PROBE_SHARD_INDEX is 3; wants a number from 0 to 2 (PROBE_SHARD_COUNT is 3)
  PROBE_DENY_NETWORKS is "privat": "privat" is none of these; wants non-public, its parts private, loopback, link-local, metadata, special, or networks such as 10.0.0.0/8, separated by commas, for example non-public
  KAFKA_BROKERS is not set; wants host:port, several separated by commas, for example KAFKA_BROKERS=localhost:9092
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#,
        );
    // What is required depends on the sink, and nobody knows which was meant.
    Run::probe()
        .var("SITES", "https://a.example")
        .var("PROBE_SINK", "kafak")
        .run()
        .exits(78)
        .logs(
            r#"ERROR probe: PROBE_SINK is "kafak"; wants kafka or stdout, for example stdout
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#,
        );
    Run::probe()
        .run()
        .exits(78)
        .logs(r#"ERROR probe: 2 problems in the configuration
  none of SITES, SITES_FILE and SITES_FROM is set: there is nothing to check; for example SITES=https://example.org
  KAFKA_BROKERS is not set; wants host:port, several separated by commas, for example KAFKA_BROKERS=localhost:9092
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#);
}
