//! Messages that nobody should send, and somebody does.

use jiff::{SignedDuration, Timestamp};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::{shared, wait};

use super::raw;
use crate::support::{Prepared, last_line, lines, unique, up};

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

fn send(kafka: &Kafka, record: BaseRecord<'_, [u8], [u8]>) {
    let producer: BaseProducer = kafka
        .client()
        .set("message.max.bytes", "100000000")
        .create()
        .unwrap();
    assert!(producer.send(record).is_ok());
    wait::until("the broker to acknowledge", TIMEOUT, || {
        producer.poll(std::time::Duration::ZERO);
        producer.in_flight_count() == 0
    });
}

fn drained(kafka: &Kafka, topic: &str) -> (Prepared, String) {
    let prepared = Prepared::new("zoo");
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", topic)
        .run()
        .exits(0);
    (prepared, last_line(&finished.stderr))
}

fn with(field: &str, value: serde_json::Value) -> Vec<u8> {
    let mut event = serde_json::to_value(up("a", 60)).unwrap();
    event[field] = value;
    event.to_string().into_bytes()
}

#[test]
fn tombstones_and_keys_that_are_not_text_are_kept_as_they_came() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("tombstones");
    kafka.create_topic(&topic, 1);
    let key: &[u8] = b"\xff\0\xfe";
    send(kafka, BaseRecord::to(&topic).partition(0).key(key));
    send(kafka, BaseRecord::to(&topic).partition(0));
    send(kafka, BaseRecord::to(&topic).partition(0).payload(&b""[..]));
    // A key is for Kafka; an event says itself whose it is.
    let event = up("a", 60).to_json();
    send(
        kafka,
        BaseRecord::to(&topic)
            .partition(0)
            .key(key)
            .payload(&event[..]),
    );
    let (prepared, line) = drained(kafka, &topic);
    assert_eq!(line, "1 check recorded, 3 dead-lettered");
    type DeadLetter = (i64, Option<Vec<u8>>, Option<Vec<u8>>, String);
    let dead_letters: Vec<DeadLetter> = prepared
        .client()
        .query(
            "select message_offset, key, value, reason from dead_letters order by 1",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    let reason = "the message has no value".to_owned();
    assert_eq!(
        dead_letters,
        [
            (0, Some(key.to_vec()), None, reason.clone()),
            (1, None, None, reason.clone()),
            (2, None, Some(Vec::new()), reason),
        ]
    );
}

#[test]
fn headers_of_any_bytes_are_kept_and_harm_nothing() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("headers");
    kafka.create_topic(&topic, 1);
    let value: &[u8] = b"\0\xff\xed\xa0\x80";
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace \"\u{1f980}\" \\u0000",
            value: Some(value),
        })
        .insert(Header {
            key: "none",
            value: None::<&[u8]>,
        });
    send(
        kafka,
        BaseRecord::to(&topic)
            .partition(0)
            .payload(&b"no event"[..])
            .headers(headers),
    );
    // What no client library lets one write.
    for name in [&b"\xff\xfe"[..], b"a\0b", b""] {
        raw::produce(
            kafka,
            &topic,
            &[raw::Record {
                value: b"no event",
                headers: &[(name, Some(b"v")), (b"second", Some(b"w"))],
            }],
        );
    }
    let event = up("a", 60).to_json();
    raw::produce(
        kafka,
        &topic,
        &[raw::Record {
            value: &event,
            headers: &[(b"\xff", None)],
        }],
    );
    let (prepared, line) = drained(kafka, &topic);
    assert_eq!(line, "1 check recorded, 4 dead-lettered");
    let headers: Vec<String> = prepared
        .client()
        .query(
            "select headers::text from dead_letters order by message_offset",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(
        headers[0].contains("00ffeda080") && headers[0].contains("[\"none\", null]"),
        "{headers:?}"
    );
    for headers in &headers[1..] {
        assert!(headers.contains("[\"second\", \"77\"]"), "{headers}");
    }
}

/// What is quoted in a reason was written by a stranger too.
#[test]
fn reasons_hold_no_more_and_nothing_else_than_postgresql_takes() {
    let prepared = Prepared::new("zoo");
    let mut input = Vec::new();
    for message in [
        with("outcome", "splen\0did".into()),
        with("outcome", "x".repeat(100_000).into()),
        with("outcome", "\u{1b}[31mred".into()),
        with("checked_at", "\0".into()),
        with("remote_addr", "\0".repeat(5_000).into()),
        br#"{"v":1,"site":"\ud800","url":"x"}"#.to_vec(),
        br#"{"v":1,"\u0000":"\udc00\ud800"}"#.to_vec(),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        [br#"{"v":1,"x":"#.to_vec(), b"[".repeat(100_000)].concat(),
        br#"{"v":1e999}"#.to_vec(),
        br#"{"v":18446744073709551616}"#.to_vec(),
        br#"{"v":1,"v":1}"#.to_vec(),
        b"null".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        with("labels", serde_json::json!({"a": "\0"})),
        with("certificate_not_after", "-009999-01-02T02:00:00Z".into()),
        with("checked_at", "-004713-01-01T00:00:00Z".into()),
    ] {
        input.extend(message);
        input.push(b'\n');
    }
    let sent = input.iter().filter(|byte| **byte == b'\n').count();
    input.extend(lines(&[up("a", 60)]));
    let finished = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(input)
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        format!("1 check recorded, {sent} dead-lettered")
    );
    for reason in prepared.reasons().values() {
        assert!(reason.chars().count() < 700, "{reason}");
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
}

/// As large as an event can be, in fields that a later release may have; and a byte more.
#[test]
fn an_event_of_a_mebibyte_is_recorded_wherever_it_comes_from_and_a_larger_message_is_kept_in_part()
{
    const MAX_EVENT: usize = 1 << 20;
    let padded = |site: &str, length: usize| {
        let mut event = serde_json::to_value(up(site, 60)).unwrap();
        event["new_field"] = "".into();
        let room = length - event.to_string().len();
        event["new_field"] = "y".repeat(room).into();
        event.to_string().into_bytes()
    };
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("huge");
    kafka.create_topic_with(&topic, 1, &[("max.message.bytes", "8000000")]);
    let messages = [
        padded("a", MAX_EVENT),
        padded("b", MAX_EVENT + 1),
        vec![b'x'; 7_900_000],
        up("c", 60).to_json(),
    ];
    for message in &messages {
        kafka.produce(&topic, 0, &[("k", message)]);
    }
    let (prepared, line) = drained(kafka, &topic);
    assert_eq!(line, "2 checks recorded, 2 dead-lettered");
    assert_eq!(
        prepared.reasons().into_values().collect::<Vec<_>>(),
        [
            "1048577 bytes, and an event has at most 1048576; \
             of its value's 1048577 bytes the first 1048576 are kept",
            "7900000 bytes, and an event has at most 1048576; \
             of its value's 7900000 bytes the first 1048576 are kept",
        ]
    );
    assert_eq!(
        prepared.count("select sum(length(value))::int8 from dead_letters"),
        2 * MAX_EVENT as i64
    );

    let by_pipe = Prepared::new("zoo");
    let finished = by_pipe
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(messages.join(&b'\n'))
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "2 checks recorded, 2 dead-lettered"
    );
}

#[test]
fn keys_and_headers_without_end_are_kept_in_part() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("flood");
    kafka.create_topic(&topic, 1);
    let key = vec![b'k'; 900_000];
    send(
        kafka,
        BaseRecord::to(&topic)
            .partition(0)
            .key(&key[..])
            .payload(&b"no event"[..]),
    );
    let flood: Vec<(&[u8], Option<&[u8]>)> = vec![(b"h", Some(b"v")); 50_000];
    raw::produce(
        kafka,
        &topic,
        &[raw::Record {
            value: b"no event",
            headers: &flood,
        }],
    );
    let (prepared, line) = drained(kafka, &topic);
    assert_eq!(line, "0 checks recorded, 2 dead-lettered");
    let reasons: Vec<String> = prepared.reasons().into_values().collect();
    assert!(
        reasons[0].ends_with("; of its key's 900000 bytes the first 65536 are kept"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].ends_with("; of its headers the first 3640 are kept"),
        "{reasons:?}"
    );
}

#[test]
fn absurd_times_are_dead_letters_and_sane_ones_are_recorded() {
    let prepared = Prepared::new("zoo");
    let now = Timestamp::now();
    let minutes = |minutes: i64| (now + SignedDuration::from_mins(minutes)).to_string();
    let hours = |hours: i64| minutes(hours * 60);
    let absurd = [
        "0001-01-01T00:00:00Z".to_owned(),
        "9999-12-30T22:00:00Z".to_owned(),
        "-009999-01-02T02:00:00Z".to_owned(),
        "1970-01-01T00:00:00Z".to_owned(),
        hours(23),
        // The skew that is believed, and what the test takes: ten minutes at most.
        minutes(15),
        hours(-401 * 24),
    ];
    let sane = [minutes(4), hours(-399 * 24), hours(0)];
    let mut input = Vec::new();
    for time in absurd.iter().chain(&sane) {
        input.extend(with("checked_at", time.as_str().into()));
        input.push(b'\n');
    }
    let finished = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(input)
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        format!(
            "{} checks recorded, {} dead-lettered",
            sane.len(),
            absurd.len()
        )
    );
    for reason in prepared.reasons().values() {
        assert!(
            reason.ends_with("is more than 5 minutes ahead of now; once its time has come, DRAIN_REPLAY_DEAD_LETTERS=true records it")
                || reason.ends_with("is more than 400 days ago")
                || reason == "checked_at: before the year 1",
            "{reason}"
        );
    }
    // No day of the year 9999 has a partition that nothing ever removes.
    assert_eq!(
        prepared.count(
            "select count(*) from pg_inherits where inhparent = 'checks'::regclass
             and inhrelid::regclass::text > 'checks_' || to_char(now() + interval '60 days', 'YYYYMMDD')"
        ),
        0
    );
}
