//! What a run leaves in `function_runs`, and what leaving it may not cost.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{port, shared, wait};

use crate::support::{Prepared, lines, unique, up};

const TIMEOUT: Duration = Duration::from_secs(180);

/// Events on a topic of their own.
fn topic(events: i64) -> String {
    let topic = unique("trace");
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic(&topic, 1);
    let messages: Vec<_> = (0..events)
        .map(|second| ("a", up("a", second).to_json()))
        .collect();
    kafka.produce(&topic, 0, &messages);
    topic
}

fn drain(prepared: &Prepared, topic: &str) -> Run {
    prepared
        .drain()
        .var("KAFKA_BROKERS", shared::kafka(Version::V4_1).bootstrap())
        .var("KAFKA_TOPIC", topic)
}

/// The last run of drain: exit code and counters.
fn trace(prepared: &Prepared) -> Option<(i16, Value)> {
    let row = prepared
        .client()
        .query_opt(
            "select exit_code, figures::text from function_runs where function = 'drain'",
            &[],
        )
        .unwrap()?;
    let counters: &str = row.get(1);
    Some((row.get(0), serde_json::from_str(counters).unwrap()))
}

#[test]
fn a_run_leaves_how_it_ended_what_it_recorded_and_the_lag_it_found() {
    let prepared = Prepared::new("trace");
    let topic = topic(300);
    drain(&prepared, &topic)
        .var("DRAIN_DRY_RUN", "true")
        .run()
        .exits(0);
    assert_eq!(trace(&prepared), None);

    drain(&prepared, &topic).run().exits(0);
    let (exit_code, counters) = trace(&prepared).unwrap();
    assert_eq!(exit_code, 0);
    for (counter, number) in [("pending", 300), ("recorded", 300), ("left", 0)] {
        assert_eq!(counters[counter], number, "{counter} in {counters}");
    }
    drain(&prepared, &topic).run().exits(0);
    let (_, counters) = trace(&prepared).unwrap();
    for counter in ["pending", "recorded", "left"] {
        assert_eq!(counters[counter], 0, "{counter} in {counters}");
    }

    // What went wrong elsewhere is told as well, as long as there is somebody to tell.
    drain(&prepared, &topic)
        .var("KAFKA_BROKERS", format!("127.0.0.1:{}", port::reserve()))
        .var("KAFKA_TIMEOUT", "1s")
        .run()
        .exits(69);
    assert_eq!(trace(&prepared).unwrap().0, 69);
    drain(&prepared, &unique("none")).run().exits(78);
    assert_eq!(trace(&prepared).unwrap().0, 78);

    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("b", 1)]))
        .run()
        .exits(0);
    let (exit_code, counters) = trace(&prepared).unwrap();
    assert_eq!((exit_code, &counters["recorded"]), (0, &Value::from(1)));
}

#[test]
fn a_run_that_had_to_stop_leaves_its_lag_and_one_that_was_ended_leaves_nothing() {
    let prepared = Prepared::new("trace");
    let topic = topic(20_000);
    let slow = || drain(&prepared, &topic).var("DRAIN_BATCH_SIZE", "10");
    let run = slow().spawn();
    wait::until("a first batch is recorded", TIMEOUT, || {
        prepared.count("select count(*) from checks") > 0
    });
    run.signal(Signal::TERM);
    run.wait().exits(75);
    assert_eq!(trace(&prepared), None);

    slow().var("DRAIN_DEADLINE", "1s").run().exits(75);
    let (exit_code, counters) = trace(&prepared).unwrap();
    assert_eq!(exit_code, 75);
    let left = 20_000 - prepared.count("select count(*) from checks");
    assert!(left > 0);
    assert_eq!(counters["left"], left, "{counters}");
}

/// Somebody holds the row: the run ends all the same, and leaves nobody waiting in the server.
#[test]
fn a_run_does_not_wait_to_leave_it() {
    let prepared = Prepared::new("trace");
    let topic = topic(10);
    drain(&prepared, &topic).run().exits(0);
    let mut holder = prepared.client();
    let mut transaction = holder.transaction().unwrap();
    transaction
        .execute("select from function_runs for update", &[])
        .unwrap();
    let began = Instant::now();
    drain(&prepared, &topic)
        .run()
        .exits(0)
        // And why: the server gives up first, unless it had no CPU.
        .stderr_has("WARN  drain: how this run went could not be recorded in function_runs: ");
    assert!(began.elapsed() < wait::SOON, "{:?}", began.elapsed());
    wait::until("nobody waits in the server", TIMEOUT, || {
        prepared.count(
            "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'",
        ) == 0
    });
    drop(transaction);
    drain(&prepared, &topic).run().exits(0);
}
