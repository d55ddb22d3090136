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

#[test]
fn refused_rows_do_not_fill_the_disk_either() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("refused");
    kafka.create_topic(&topic, 1);
    let messages: Vec<_> = events()
        .iter()
        .map(|event| ("a", event.to_json()))
        .collect();
    kafka.produce(&topic, 0, &messages);
    let prepared = prepared();
    prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_BATCH_SIZE", "10")
        .var("DRAIN_MAX_DEAD_LETTERS", "3")
        .run()
        .exits(75)
        .stderr_has("more than DRAIN_MAX_DEAD_LETTERS=3 messages cannot be recorded");
    // What was on its way when the fourth was met may still be recorded.
    let dead_letters = prepared.count("select count(*) from dead_letters");
    assert!((4..10).contains(&dead_letters), "{dead_letters}");
    assert!(prepared.count("select next_offset from kafka_offsets") < 100);
}

#[test]
fn each_run_gets_as_far_as_the_dead_letter_too_many() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("refused");
    kafka.create_topic(&topic, 1);
    let message = |number: i64| match number % 4 {
        3 => ("a", b"not ours".to_vec()),
        _ => ("a", up("a", number).to_json()),
    };
    let messages: Vec<_> = (0..20).map(message).collect();
    kafka.produce(&topic, 0, &messages);
    let prepared = Prepared::new("refused");
    let run = || {
        let run = prepared.drain().var("KAFKA_BROKERS", kafka.bootstrap());
        let run = run.var("KAFKA_TOPIC", &topic);
        run.var("DRAIN_MAX_DEAD_LETTERS", "3").run()
    };
    run()
        .exits(75)
        .logs(&format!("ERROR drain: more than DRAIN_MAX_DEAD_LETTERS=3 messages are no check events, the next one in partition 0 from offset 15 on: is {topic} the right topic? The rest is left (exit code 75)\n"));
    assert_eq!(prepared.count("select count(*) from checks"), 9);
    assert_eq!(prepared.count("select count(*) from dead_letters"), 3);
    run().exits(0);
    assert_eq!(prepared.count("select count(*) from checks"), 15);
    assert_eq!(prepared.count("select count(*) from dead_letters"), 5);
}

#[test]
fn a_dead_letter_that_is_read_twice_counts_once() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("refused");
    kafka.create_topic(&topic, 1);
    let mut messages: Vec<_> = events()[..20]
        .iter()
        .map(|event| ("a", event.to_json()))
        .collect();
    messages.extend(vec![("a", b"not ours".to_vec()); 10]);
    kafka.produce(&topic, 0, &messages);
    let prepared = prepared();
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_MAX_DEAD_LETTERS", "12")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "18 checks recorded, 12 dead-lettered"
    );
}

#[test]
fn a_day_that_is_dropped_meanwhile_is_made_again() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("refused");
    kafka.create_topic(&topic, 1);
    let messages: Vec<_> = (0..30)
        .map(|second| ("a", up("a", second).to_json()))
        .collect();
    kafka.produce(&topic, 0, &messages);
    let prepared = Prepared::new("refused");
    // At the end of a transaction, where `maintain` would come in between; the second is one of
    // those that are read again.
    prepared
        .client()
        .batch_execute(
            "create function drop_all_days() returns trigger language plpgsql as $$
             declare
                 old_day text;
             begin
                 for old_day in select name from check_partitions loop
                     execute format('drop table %I', old_day);
                 end loop;
                 return null;
             end
             $$;
             create constraint trigger days_are_dropped
                 after update on kafka_offsets deferrable initially deferred
                 for each row when (new.next_offset in (10, 20)) execute function drop_all_days()",
        )
        .unwrap();
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_BATCH_SIZE", "10")
        .run()
        .exits(0);
    assert_eq!(last_line(&finished.stderr), "30 checks recorded");
    assert_eq!(prepared.count("select count(*) from checks"), 10);
}
