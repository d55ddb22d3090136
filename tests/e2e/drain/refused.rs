//! Rows that PostgreSQL refuses although the event is in order.

use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;

use crate::support::{Prepared, last_line, lines, unique, up};

/// A rule that somebody put on the table: one site in ten is not wanted.
fn prepared() -> Prepared {
    let prepared = Prepared::new("refused");
    prepared
        .client()
        .batch_execute(
            "alter table checks add constraint no_long_checks check (total_us < 1000000)",
        )
        .unwrap();
    prepared
}

fn events() -> Vec<sitewatch::event::CheckEvent<'static>> {
    (0..100)
        .map(|number| {
            let mut event = up("a", number);
            if number % 10 == 3 {
                event.total_us = 2_000_000;
            }
            event
        })
        .collect()
}

#[track_caller]
fn the_rest_is_stored(prepared: &Prepared) {
    assert_eq!(prepared.count("select count(*) from checks"), 90);
    let reasons = prepared.reasons();
    assert_eq!(reasons.len(), 10);
    for reason in reasons.values() {
        assert!(
            reason.starts_with("PostgreSQL: new row for relation \"checks_")
                && reason.contains("violates check constraint \"no_long_checks\""),
            "{reason}"
        );
    }
    assert_eq!(
        prepared.count("select count(*) from dead_letters where convert_from(value, 'UTF8')::json->>'total_us' = '2000000'"),
        10
    );
}

#[test]
fn a_refused_row_is_a_dead_letter_and_the_rest_is_stored() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("refused");
    kafka.create_topic(&topic, 2);
    let messages: Vec<_> = events()
        .iter()
        .map(|event| ("a", event.to_json()))
        .collect();
    kafka.produce(&topic, 0, &messages[..50]);
    kafka.produce(&topic, 1, &messages[50..]);
    let prepared = prepared();
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_BATCH_SIZE", "20")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "90 checks recorded, 10 dead-lettered"
    );
    the_rest_is_stored(&prepared);
    assert_eq!(
        prepared.count("select sum(next_offset)::int8 from kafka_offsets"),
        100
    );
}

#[test]
fn a_refused_line_likewise() {
    let prepared = prepared();
    let finished = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events()))
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "90 checks recorded, 10 dead-lettered"
    );
    the_rest_is_stored(&prepared);
}
