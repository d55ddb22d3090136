//! Runs that are cut short: by a signal, by their deadline, by a server that falls silent.

use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::command::{Finished, Running};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::proxy::Proxy;
use sitewatch_tests::shared;

use crate::support::{Prepared, last_line, unique, up};

/// What a scheduler grants between SIGTERM and SIGKILL is seconds; this is less.
/// Less than the timeout of ten seconds that would apply otherwise.
const SOON: Duration = Duration::from_secs(8);

fn backlog(topic: &str, events: i64) {
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic(topic, 1);
    let messages: Vec<_> = (0..events)
        .map(|second| ("a", up("a", second).to_json()))
        .collect();
    kafka.produce(topic, 0, &messages);
}

#[track_caller]
fn ends_soon(run: Running) -> Finished {
    let asked = std::time::Instant::now();
    let finished = run.wait();
    assert!(
        asked.elapsed() < SOON,
        "took {:?} after the signal",
        asked.elapsed()
    );
    finished
}

#[test]
fn a_signal_ends_a_drain_and_the_next_one_takes_up_the_rest() {
    let topic = unique("signal");
    backlog(&topic, 20_000);
    let prepared = Prepared::new("signal");
    let drain = |batch: &str| {
        prepared
            .drain()
            .var("KAFKA_BROKERS", shared::kafka(Version::V4_1).bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("DRAIN_BATCH_SIZE", batch)
    };
    let run = drain("10").spawn();
    sitewatch_tests::wait::until("a first batch is recorded", Duration::from_secs(60), || {
        prepared.count("select count(*) from checks") > 0
    });
    run.signal(Signal::TERM);
    let finished = ends_soon(run).exits(75);
    assert!(
        finished.stderr.contains("stopped by a signal"),
        "{}",
        finished.stderr
    );
    let recorded = prepared.count("select count(*) from checks");
    assert!((1..20_000).contains(&recorded), "{recorded}");
    assert_eq!(
        recorded,
        prepared.count("select sum(next_offset)::int8 from kafka_offsets")
    );

    let rest = drain("20000").run().exits(0);
    assert_eq!(
        last_line(&rest.stderr),
        format!("{} checks recorded", 20_000 - recorded)
    );
}

#[test]
fn a_deadline_ends_a_drain_with_what_is_left() {
    let topic = unique("deadline");
    backlog(&topic, 20_000);
    let prepared = Prepared::new("deadline");
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", shared::kafka(Version::V4_1).bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_BATCH_SIZE", "10")
        .var("DRAIN_DEADLINE", "500ms")
        .run()
        .exits(75);
    let recorded = prepared.count("select count(*) from checks");
    assert!(
        finished.stderr.contains(&format!(
            "{} left for the next run; stopped by its deadline",
            20_000 - recorded
        )),
        "{recorded} {}",
        finished.stderr
    );
}

#[test]
fn a_silent_postgresql_does_not_hold_a_drain_that_should_end() {
    let topic = unique("silent");
    backlog(&topic, 20_000);
    let prepared = Prepared::new("silent");
    let proxy = Proxy::to((std::net::Ipv4Addr::LOCALHOST, shared::postgres().port()));
    let url = prepared.url().replace(
        &format!(":{}/", shared::postgres().port()),
        &format!(":{}/", proxy.port()),
    );
    let run = prepared
        .drain()
        .var("DATABASE_URL", &url)
        .var("KAFKA_BROKERS", shared::kafka(Version::V4_1).bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_BATCH_SIZE", "10")
        .spawn();
    sitewatch_tests::wait::until("a first batch is recorded", Duration::from_secs(60), || {
        prepared.count("select count(*) from checks") > 0
    });
    proxy.stall();
    run.signal(Signal::TERM);
    ends_soon(run).exits(75);
    drop(proxy);

    prepared
        .drain()
        .var("KAFKA_BROKERS", shared::kafka(Version::V4_1).bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .run()
        .exits(0);
    assert_eq!(prepared.count("select count(*) from checks"), 20_000);
}

#[test]
fn servers_that_accept_and_stay_silent_cost_one_timeout() {
    let prepared = Prepared::new("mute");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = listener.local_addr().unwrap();
    for (client, broker) in [("rdkafka", Version::V4_1), ("kafka", Version::V3_9)] {
        let topic = unique("mute");
        shared::kafka(broker).create_topic(&topic, 1);
        let finished = prepared
            .drain()
            .var("KAFKA_BROKERS", mute.to_string())
            .var("KAFKA_TOPIC", &topic)
            .var("KAFKA_TIMEOUT", "1s")
            .var("KAFKA_CLIENT", client)
            .run()
            .exits(69)
            .logs(&format!("ERROR drain: cannot reach Kafka at {mute}: no answer in time (does KAFKA_SECURITY_PROTOCOL fit the port?); check KAFKA_BROKERS and that the broker is running (exit code 69)\n"));
        assert!(finished.elapsed < SOON, "{client}: {:?}", finished.elapsed);

        let finished = prepared
            .drain()
            .var("KAFKA_BROKERS", shared::kafka(broker).bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("KAFKA_CLIENT", client)
            .var("DATABASE_URL", format!("postgres://u:hunter2@{mute}/d"))
            .var("DATABASE_CONNECT_TIMEOUT", "1s")
            .run()
            .exits(69)
            .logs(&format!("ERROR drain: cannot reach PostgreSQL at {mute} within 1.00 s: no answer; check that it runs there and that nothing in between drops packets (exit code 69)\n"));
        assert!(finished.elapsed < SOON, "{client}: {:?}", finished.elapsed);
    }
}
