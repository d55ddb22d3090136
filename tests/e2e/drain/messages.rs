//! Messages of every kind: what fits is recorded, what does not is kept with its reason.

use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;

use crate::support::{Prepared, last_line, unique, up};

#[test]
fn what_is_no_event_is_a_dead_letter_and_the_run_goes_on() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("messages");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("messages");
    let with = |field: &str, value: serde_json::Value| {
        let mut event = serde_json::to_value(up("a", 60)).unwrap();
        event[field] = value;
        event.to_string().into_bytes()
    };
    let zoo: Vec<(Vec<u8>, &str)> = vec![
        (b"\xff\xfe".to_vec(), "not UTF-8 from byte 0"),
        (
            b"hello".to_vec(),
            "not a check event: expected value at line 1 column 1",
        ),
        (b"[1]".to_vec(), "not a check event: a list, not an object"),
        (
            with("v", 2.into()),
            "event version 2; this release reads version 1: upgrade drain, then run it with DRAIN_REPLAY_DEAD_LETTERS=true",
        ),
        (with("site", "".into()), "site: empty"),
        (
            with("site", "a\0b".into()),
            "site: contains a control character",
        ),
        (
            with("site", "x".repeat(201).into()),
            "site: 201 characters, at most 200",
        ),
        (
            with("outcome", "splendid".into()),
            "not a check event: unknown variant `splendid`, expected one of",
        ),
        (
            with("up", serde_json::Value::Null),
            "up: None does not go with outcome \"up\"",
        ),
        (
            with("total_us", 3_000_000_000_u32.into()),
            "total_us: longer than 35 minutes",
        ),
        (
            with("total_us", (-1).into()),
            "not a check event: invalid value: integer `-1`, expected u32",
        ),
        (with("status", 7.into()), "status: 7 is no HTTP status"),
        (with("checked_at", "yesterday".into()), "not a check event:"),
    ];
    let mut messages: Vec<(String, Vec<u8>)> = zoo
        .iter()
        .map(|(message, _)| ("k".to_owned(), message.clone()))
        .collect();
    // A field that a later release may add is no reason to refuse.
    messages.push(("a".to_owned(), with("new_field", true.into())));
    kafka.produce(&topic, 0, &messages);

    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        format!("1 check recorded, {} dead-lettered", zoo.len())
    );
    let reasons = prepared.reasons();
    for (offset, (_, expected)) in zoo.iter().enumerate() {
        let reason = &reasons[&(Some(0), i64::try_from(offset).ok())];
        assert!(reason.starts_with(expected), "offset {offset}: {reason}");
    }
    // Byte for byte, and with the key: somebody has to find out where it came from.
    let row = prepared
        .client()
        .query_one(
            "select topic, key, value, message_timestamp is not null from dead_letters where message_offset = 0",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, String>(0), topic);
    assert_eq!(row.get::<_, Vec<u8>>(1), b"k");
    assert_eq!(row.get::<_, Vec<u8>>(2), b"\xff\xfe");
    assert!(row.get::<_, bool>(3));
}

#[test]
fn a_site_that_nobody_knows_is_made_but_not_checked() {
    let prepared = Prepared::new("messages");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(crate::support::lines(&[up("stranger", 60)]))
        .run()
        .exits(0);
    assert_eq!(
        prepared.count(
            "select count(*) from websites
             where name = 'stranger' and url = 'https://stranger.example/' and origin = 'event' and not enabled"
        ),
        1
    );
}
