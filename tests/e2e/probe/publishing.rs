//! Results on their way to Kafka: none is lost, whatever dies.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::websites::{Behaviour, Page, Website};
use sitewatch_tests::{shared, wait};

use super::{plain, site};
use crate::support::unique;

/// Nobody listens there.
pub(super) const NOWHERE: &str = "127.0.0.1:1";

pub(super) fn sites(website: &Website, count: usize) -> String {
    let sites: Vec<Value> = (0..count)
        .map(|number| site(&format!("site-{number}"), &website.url(), &plain()))
        .collect();
    Value::from(sites).to_string()
}

pub(super) fn to_kafka(brokers: &str, topic: &str, sites: &str) -> Run {
    // Short where Kafka is not there at all.
    let timeout = if brokers == NOWHERE { "50ms" } else { "5s" };
    Run::probe()
        .var("SITES", sites)
        .var("KAFKA_BROKERS", brokers)
        .var("KAFKA_TOPIC", topic)
        .var("KAFKA_TIMEOUT", timeout)
}

/// The ids of the events on the topic, in their order.
pub(super) fn ids(kafka: &Kafka, topic: &str) -> Vec<String> {
    kafka
        .consume_all(topic)
        .iter()
        .map(|record| {
            let event = CheckEvent::decode(record.payload.as_deref().unwrap_or_default()).unwrap();
            assert_eq!(record.key.as_deref(), Some(event.site.as_bytes()));
            event.id.to_string()
        })
        .collect()
}

/// The ids of the results in the spool.
pub(super) fn spooled(directory: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for path in spool_files(directory) {
        // One that a run has just removed is no longer in the spool.
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        // What follows the last end of a line is being written, or was when its run was killed.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let (_, result) = line.split_once(' ').unwrap();
            let event = CheckEvent::decode(result.as_bytes()).unwrap();
            ids.insert(event.id.to_string());
        }
    }
    ids
}

/// The files whose results are not sent yet. A kill in the middle of a write leaves half a line,
/// which is in another file then.
pub(super) fn spool_files(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "spool"))
        .collect()
}

#[test]
fn every_result_is_on_the_topic_when_the_run_ends() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("probe");
    kafka.create_topic(&topic, 2);
    let website = Website::up("x");
    to_kafka(&kafka.bootstrap(), &topic, &sites(&website, 300))
        .run()
        .exits(0)
        .stdout_is("")
        .logs("INFO  probe: 300 checks: 300 up, 0 down\n");
    let ids = ids(kafka, &topic);
    assert_eq!(
        (ids.len(), ids.iter().collect::<BTreeSet<_>>().len()),
        (300, 300)
    );
}

#[test]
fn without_kafka_and_spool_nothing_is_checked() {
    let website = Website::up("x");
    let finished = to_kafka(NOWHERE, "topic", &sites(&website, 3))
        .var("KAFKA_TIMEOUT", "2s")
        .run()
        .exits(69);
    finished
        .stdout_is("")
        .logs("ERROR probe: cannot reach Kafka at 127.0.0.1:1: Connection refused; check KAFKA_BROKERS and that the broker is running (exit code 69)\n");
    assert_eq!(website.connections(), 0);
}

#[test]
fn what_kafka_does_not_take_is_spooled_and_sent_first_by_the_next_run() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("spool");
    kafka.create_topic(&topic, 1);
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    let with_spool = |run: Run| run.var("PROBE_SPOOL_DIR", &spool);
    for round in 1..=2 {
        with_spool(to_kafka(NOWHERE, &topic, &sites(&website, 20)))
            .run()
            .exits(75)
            .stderr_has("20 spooled");
        assert_eq!(spooled(&spool).len(), 20 * round);
    }
    let kept = spooled(&spool);
    with_spool(to_kafka(&kafka.bootstrap(), &topic, &sites(&website, 5)))
        .run()
        .exits(0)
        .logs("INFO  probe: 5 checks: 5 up, 0 down, 40 sent from the spool\n");
    let ids = ids(kafka, &topic);
    assert_eq!(ids.len(), 45);
    assert_eq!(
        ids[..40].iter().cloned().collect::<BTreeSet<_>>(),
        kept,
        "the oldest come first"
    );
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
}

#[test]
fn a_signal_while_kafka_does_not_answer_loses_no_result() {
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    let brokers = silent.local_addr().unwrap().to_string();
    let run = to_kafka(&brokers, "any", &sites(&website, 20))
        .var("KAFKA_TIMEOUT", "30s")
        .var("PROBE_SPOOL_DIR", &spool)
        .spawn();
    wait::until("the checks", Duration::from_secs(60), || {
        website.requests().len() >= 20
    });
    run.signal(Signal::TERM);
    let finished = run.wait().exits(75);
    assert!(finished.elapsed < Duration::from_secs(20), "{finished}");
    // A check that the signal cut is not reported.
    let kept = spooled(&spool).len();
    finished.stderr_has(&format!("{kept} spooled"));
    assert!(kept > 0);
}

#[test]
fn what_does_not_fit_the_spool_is_printed() {
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    let finished = to_kafka(NOWHERE, "topic", &sites(&website, 20))
        .var("PROBE_SPOOL_DIR", directory.path())
        .var("PROBE_SPOOL_MAX", "4kB")
        .run()
        .exits(69);
    let printed: BTreeSet<String> = finished
        .stderr
        .lines()
        .filter_map(|line| CheckEvent::decode(line.as_bytes()).ok())
        .map(|event| event.id.to_string())
        .collect();
    let kept = spooled(directory.path());
    assert!(!kept.is_empty() && !printed.is_empty(), "{finished}");
    assert_eq!(kept.union(&printed).count(), 20);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_told_at_once() {
    to_kafka(NOWHERE, "topic", "https://a.example")
        .var("PROBE_SPOOL_DIR", "/proc/spool")
        .run()
        .exits(78)
        .logs(r#"ERROR probe: PROBE_SPOOL_DIR is "/proc/spool", which cannot be written to: No such file or directory (os error 2)
ERROR probe: see `probe --help` for every variable it reads (exit code 78)
"#);
}

/// A round of 200 checks of 100 ms each, whose broker is killed after about a third.
fn broker_dies_in_the_middle(
    kafka: &Kafka,
    topic: &str,
    more: &[(&str, &str)],
) -> sitewatch_tests::command::Finished {
    let slow = Website::start(Behaviour::Slow {
        delay: Duration::from_millis(100),
        page: Page::ok("x"),
    });
    let run = to_kafka(&kafka.bootstrap(), topic, &sites(&slow, 200))
        .var("KAFKA_TIMEOUT", "2s")
        // Most of it comes after the last check: until then the broker may come back.
        .var("PROBE_DEADLINE", "20s")
        .var("CHECK_CONCURRENCY", "10")
        .vars(more.iter().copied())
        .spawn();
    wait::until("some checks", Duration::from_secs(60), || {
        slow.connections() > 60
    });
    kafka.kill();
    run.wait()
}

#[test]
fn a_broker_that_stops_in_the_middle_of_a_round() {
    let kafka = shared::borrow_kafka(Version::V4_1);
    let topic = unique("stops");
    kafka.create_topic(&topic, 1);
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().to_str().unwrap();
    broker_dies_in_the_middle(&kafka, &topic, &[("PROBE_SPOOL_DIR", spool)])
        .exits(75)
        .stderr_has("200 checks: 200 up, 0 down");
    let kept = spooled(directory.path());
    kafka.start_again();
    let taken: BTreeSet<String> = ids(&kafka, &topic).into_iter().collect();
    // An acknowledgement that was lost makes an event be in both places: harmless, it has one id.
    assert_eq!(
        taken.union(&kept).count(),
        200,
        "{} on the topic, {} kept",
        taken.len(),
        kept.len()
    );
    assert!(!kept.is_empty());

    // The same without a spool: the last resort is standard error.
    let before = taken.len();
    let finished = broker_dies_in_the_middle(&kafka, &topic, &[]).exits(69);
    let printed: BTreeSet<String> = finished
        .stderr
        .lines()
        .filter_map(|line| CheckEvent::decode(line.as_bytes()).ok())
        .map(|event| event.id.to_string())
        .collect();
    kafka.start_again();
    let all: BTreeSet<String> = ids(&kafka, &topic).into_iter().chain(printed).collect();
    assert_eq!(all.len() - before, 200, "{finished}");
}

/// Kills at random instants. What was once in the spool is on the topic in the end, and whatever was
/// left half written does not stop the next run.
#[test]
fn kill_9_at_any_instant_loses_nothing_that_was_kept() {
    const KILLS: u32 = 300;
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("kills");
    kafka.create_topic(&topic, 1);
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    let sites = sites(&website, 40);
    let run =
        |brokers: &str| to_kafka(brokers, &topic, &sites).var("PROBE_SPOOL_DIR", directory.path());
    // By turns a run that can only spool, and one that sends the spool and its own.
    let brokers = [NOWHERE.to_owned(), kafka.bootstrap()];
    // How long they take when nobody kills them: with this machine, and with what else it does.
    let mut takes = [0, 1].map(|turn: usize| run(&brokers[turn]).run().elapsed);
    let mut kept_once = BTreeSet::new();
    let (mut killed, mut at_work, mut number) = (0, 0, 0_u32);
    // Most of a short life is beginning, when there is nothing to lose.
    while killed < KILLS || at_work < KILLS / 4 {
        let before = website.connections();
        let turn = number as usize % 2;
        let mut run = run(&brokers[turn]).spawn();
        // Numbers without a pattern, the same in every run of this test: from 0 to 1.2 of its time.
        let instant = takes[turn] * (number.wrapping_mul(2_654_435_761) % 120) / 100;
        std::thread::sleep(instant);
        let has_ended = run.has_ended();
        if !has_ended {
            run.signal(Signal::KILL);
        }
        if run.wait().signal.is_some() {
            killed += 1;
            at_work += u32::from(website.connections() > before);
        }
        takes[turn] = match has_ended {
            true => takes[turn] * 9 / 10,
            false if instant > takes[turn] => takes[turn] * 11 / 10,
            false => takes[turn],
        };
        kept_once.extend(spooled(directory.path()));
        number += 1;
        assert!(
            number < 4 * KILLS,
            "{killed} of {number} runs were killed, {at_work} of them at work"
        );
    }
    println!("{killed} of {number} runs were killed, {at_work} of them at work");
    run(&kafka.bootstrap()).run().exits(0);
    assert_eq!(spool_files(directory.path()), BTreeSet::new());
    let on_topic: BTreeSet<String> = ids(kafka, &topic).into_iter().collect();
    let lost = kept_once.difference(&on_topic).count();
    assert_eq!(lost, 0, "of {} spooled results", kept_once.len());
    assert!(
        kept_once.len() > 100,
        "{} spooled: not much was tried",
        kept_once.len()
    );
}

#[test]
fn runs_that_share_a_spool_send_each_result_once() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("shared");
    kafka.create_topic(&topic, 1);
    let website = Website::up("x");
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..6 {
        to_kafka(NOWHERE, &topic, &sites(&website, 30))
            .var("PROBE_SPOOL_DIR", directory.path())
            .run()
            .exits(75);
    }
    let one = json!([{"name": "one", "url": website.url()}]).to_string();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            to_kafka(&kafka.bootstrap(), &topic, &one)
                .var("PROBE_SPOOL_DIR", directory.path())
                .spawn()
        })
        .collect();
    for run in runs {
        run.wait().exits(0);
    }
    let ids = ids(kafka, &topic);
    assert_eq!(ids.len(), 6 * 30 + 4);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}
