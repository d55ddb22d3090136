//! What strangers may put on the topic: each row says what becomes of it, and none of them costs
//! more time or memory than a pod has.
#![allow(
    clippy::print_stdout,
    reason = "what each row took, for whoever looks into a failure"
)]

use std::time::Duration;
use std::{fs, thread};

use sitewatch::event::CheckEvent;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::{Codec, End, Kafka, Version};
use sitewatch_tests::{memory, shared};

use super::chaos::raw;
use crate::fuzz;
use crate::support::{Prepared, last_line, unique, up};

/// A pod has 256 MiB. What is measured is the test build, which takes more than a release.
const MEGABYTES: f64 = 200.0;

/// Far more than any row takes, on any machine; far less than for ever.
const TIMEOUT: Duration = Duration::from_secs(100);

/// A message is recorded or a dead letter for this reason.
#[derive(Clone, Copy)]
enum Verdict {
    Recorded(usize),
    /// As many dead letters, each with a reason that begins so.
    DeadLetters(usize, &'static str),
    /// Not seen at all: offsets without messages.
    Nothing,
}
use Verdict::{DeadLetters, Nothing, Recorded};

/// Writes to the topic of this name.
type Write = Box<dyn Fn(&Kafka, &str)>;

struct Row {
    name: &'static str,
    write: Write,
    verdict: Verdict,
}

fn row(name: &'static str, verdict: Verdict, write: impl Fn(&Kafka, &str) + 'static) -> Row {
    Row {
        name,
        write: Box::new(write),
        verdict,
    }
}

/// A single message, of this value.
fn message(name: &'static str, verdict: Verdict, value: impl Into<Vec<u8>>) -> Row {
    let value = value.into();
    row(name, verdict, move |kafka, topic| {
        kafka.produce(topic, 0, &[("k", &value)]);
    })
}

fn with(field: &str, value: serde_json::Value) -> Vec<u8> {
    let mut event = serde_json::to_value(up("a", 60)).unwrap();
    event[field] = value;
    event.to_string().into_bytes()
}

/// Messages that both clients can read, and so have the same fate with both.
fn messages() -> Vec<Row> {
    const TEXT: &str = "not a check event: ";
    let long = "x".repeat(900_000);
    vec![
        message("no JSON", DeadLetters(1, TEXT), "hello"),
        message("a list", DeadLetters(1, TEXT), "[1]"),
        message("null", DeadLetters(1, TEXT), "null"),
        message("a number", DeadLetters(1, TEXT), "1e400"),
        message("not a number", DeadLetters(1, TEXT), "NaN"),
        message("cut", DeadLetters(1, TEXT), &br#"{"v":1,"si"#[..]),
        message(
            "not UTF-8",
            DeadLetters(1, "not UTF-8 from byte 1"),
            &b"{\xff}"[..],
        ),
        message(
            "a lone surrogate",
            DeadLetters(1, TEXT),
            r#"{"v":1,"site":"\ud800"}"#,
        ),
        message("a byte order mark", DeadLetters(1, TEXT), "\u{feff}{}"),
        message(
            "the same key twice",
            DeadLetters(1, TEXT),
            r#"{"v":1,"v":1}"#,
        ),
        message(
            "a version that overflows",
            DeadLetters(1, TEXT),
            r#"{"v":18446744073709551616}"#,
        ),
        message(
            "a later version",
            DeadLetters(1, "event version 2;"),
            r#"{"v":2}"#,
        ),
        message(
            "deep lists",
            DeadLetters(1, TEXT),
            format!(
                r#"{{"v":1,"x":{}{}}}"#,
                "[".repeat(400_000),
                "]".repeat(400_000)
            ),
        ),
        message(
            "deep objects",
            DeadLetters(1, TEXT),
            format!(
                r#"{{"v":1,"x":{}1{}}}"#,
                r#"{"":"#.repeat(150_000),
                "}".repeat(150_000)
            ),
        ),
        message(
            "a list of a hundred thousand in a field that nobody knows",
            Recorded(1),
            with("new_field", vec![0; 100_000].into()),
        ),
        message(
            "a text for a number",
            DeadLetters(1, TEXT),
            with("total_us", "1".into()),
        ),
        message(
            "a number for a text",
            DeadLetters(1, TEXT),
            with("site", 1.into()),
        ),
        message(
            "a fraction",
            DeadLetters(1, TEXT),
            with("total_us", 1.5.into()),
        ),
        message(
            "less than nothing",
            DeadLetters(1, TEXT),
            with("total_us", (-1).into()),
        ),
        message(
            "too long a time",
            DeadLetters(1, "total_us: longer than 35 minutes"),
            with("total_us", u32::MAX.into()),
        ),
        message(
            "no such status",
            DeadLetters(1, "status: 7 is no HTTP status"),
            with("status", 7.into()),
        ),
        message(
            "no such outcome",
            DeadLetters(1, TEXT),
            with("outcome", long.as_str().into()),
        ),
        message(
            "no such time",
            DeadLetters(1, TEXT),
            with("checked_at", long.as_str().into()),
        ),
        message(
            "no such address",
            DeadLetters(1, TEXT),
            with("remote_addr", long.as_str().into()),
        ),
        message(
            "the last year",
            DeadLetters(1, "checked_at: "),
            with("checked_at", "9999-12-30T22:00:00Z".into()),
        ),
        message(
            "a long name",
            DeadLetters(1, "site: 900000 characters, at most 200"),
            with("site", long.as_str().into()),
        ),
        message(
            "a long url",
            DeadLetters(1, "url: 900000 bytes, at most 8192"),
            with("url", long.as_str().into()),
        ),
        message(
            "a long final url",
            DeadLetters(1, "final_url: 900000 characters, at most 8192"),
            with("final_url", long.as_str().into()),
        ),
        message(
            "a long location",
            DeadLetters(1, "location: 900000 characters, at most 100"),
            with("location", long.as_str().into()),
        ),
        message(
            "a long version of HTTP",
            DeadLetters(1, "http_version: 900000 characters, at most 20"),
            with("http_version", long.as_str().into()),
        ),
        message(
            "a long issuer",
            DeadLetters(1, "certificate_issuer: 900000 characters, at most 500"),
            with("certificate_issuer", long.as_str().into()),
        ),
        message(
            "a long first error",
            DeadLetters(1, "first_error: 900000 characters, at most 500"),
            with("first_error", long.as_str().into()),
        ),
        message(
            "a long label",
            DeadLetters(1, "labels: 900000 characters, at most 200"),
            with("labels", serde_json::json!({ "a": long })),
        ),
        message(
            "65 labels",
            DeadLetters(1, "labels: 65 labels, at most 64"),
            {
                let labels: serde_json::Map<_, _> =
                    (0..65).map(|n| (n.to_string(), "".into())).collect();
                with("labels", labels.into())
            },
        ),
        message(
            "a control character",
            DeadLetters(1, "site: contains a control character"),
            with("site", "a\u{0}b".into()),
        ),
        row(
            "a tombstone",
            DeadLetters(1, "the message has no value"),
            |kafka, topic| {
                kafka.produce(topic, 0, &[("k", "")]);
            },
        ),
        row("a key without end", DeadLetters(1, TEXT), |kafka, topic| {
            kafka.produce(topic, 0, &[("k".repeat(900_000), "no event")]);
        }),
        row(
            "a flood of headers",
            DeadLetters(1, TEXT),
            |kafka, topic| {
                let flood: Vec<(&[u8], Option<&[u8]>)> = vec![(b"h", Some(b"v")); 50_000];
                raw::produce(
                    kafka,
                    topic,
                    &[raw::Record {
                        value: b"no event",
                        headers: &flood,
                    }],
                );
            },
        ),
        // 1,500 events with 100 KB of labels each, no two of them alike.
        row("labels upon labels", Recorded(1_500), |kafka, topic| {
            let events: Vec<(String, Vec<u8>)> = (0..1_500)
                .map(|number| {
                    let mut event: CheckEvent<'_> = up(&format!("site{}", number % 500), number);
                    event.labels = (0..64)
                        .map(|label| {
                            let name = format!("{label}-{number:_<190}");
                            (name.into(), "\u{1f980}".repeat(200).into())
                        })
                        .collect();
                    (event.site.to_string(), event.to_json())
                })
                .collect();
            kafka.produce(topic, 0, &events);
        }),
        // Each kept in part, and together more than a batch may hold.
        row(
            "a hundred large messages",
            DeadLetters(100, TEXT),
            |kafka, topic| {
                let messages = vec![("k", vec![b'x'; 1_000_000]); 100];
                kafka.produce(topic, 0, &messages);
            },
        ),
    ]
}

const PASSED_OVER: &str = "offsets 0 to 0 cannot be read; they stay on the topic: Decompression";

/// What only rdkafka reads: the pure-Rust client stops at it.
fn batches() -> Vec<Row> {
    let mut rows = vec![
        row("an aborted transaction", Nothing, |kafka, topic| {
            let aborted: Vec<_> = (0..100)
                .map(|second| ("a", up("aborted", second).to_json()))
                .collect();
            kafka.transaction(topic, 0, &aborted, End::Abort);
        }),
        row(
            "a bomb of snappy",
            DeadLetters(1, "20000000 bytes, and an event has at most"),
            |kafka, topic| {
                kafka.produce_with(Codec::Snappy, topic, 0, &[("k", vec![b' '; 20_000_000])]);
            },
        ),
        row(
            "a bomb of a thousand messages",
            DeadLetters(
                1,
                "offsets 0 to 999 cannot be read; they stay on the topic: ",
            ),
            |kafka, topic| {
                let value = vec![b' '; 90_000];
                let records: Vec<_> = (0..1_000)
                    .map(|_| raw::Record {
                        value: &value,
                        headers: &[],
                    })
                    .collect();
                raw::produce_packed(kafka, topic, &records);
            },
        ),
        row(
            "a bomb of messages without anything in them",
            DeadLetters(
                1,
                "offsets 0 to 499999 cannot be read; they stay on the topic: ",
            ),
            |kafka, topic| {
                let records: Vec<_> = (0..500_000)
                    .map(|_| raw::Record {
                        value: b"",
                        headers: &[],
                    })
                    .collect();
                raw::produce_packed(kafka, topic, &records);
            },
        ),
    ];
    for (codec, name, of_many) in [
        (
            Codec::Gzip,
            "a bomb of gzip",
            "forty that are just not too large, of gzip",
        ),
        (
            Codec::Lz4,
            "a bomb of LZ4",
            "forty that are just not too large, of LZ4",
        ),
        (
            Codec::Zstd,
            "a bomb of zstd",
            "forty that are just not too large, of zstd",
        ),
    ] {
        rows.push(row(
            name,
            DeadLetters(1, PASSED_OVER),
            move |kafka, topic| {
                kafka.produce_with(codec, topic, 0, &[("k", vec![b' '; 90_000_000])]);
            },
        ));
        rows.push(row(
            of_many,
            DeadLetters(40, "14000000 bytes, and an event has at most"),
            move |kafka, topic| {
                let bomb = vec![("k", vec![b' '; 14_000_000])];
                for _ in 0..40 {
                    kafka.produce_with(codec, topic, 0, &bomb);
                }
            },
        ));
    }
    rows
}

/// A run, which takes no more time or memory than it may.
#[track_caller]
fn affordable(name: &str, run: Run) -> Finished {
    let run = run.timeout(TIMEOUT).spawn();
    let process = run.pid();
    let peak = thread::spawn(move || memory::peak_of(process));
    let finished = run.wait();
    let peak = peak.join().unwrap();
    println!("{name}: {peak:.0} MB, {:?}", finished.elapsed);
    assert!(peak < MEGABYTES, "{name}: {peak:.0} MB");
    finished
}

/// Every row on a topic of its own, with an event before it and one behind.
fn drained(version: Version, client: &str, rows: &[Row]) {
    let kafka = shared::kafka(version);
    for row in rows {
        let topic = unique("hostile");
        kafka.create_topic(&topic, 2);
        (row.write)(kafka, &topic);
        kafka.produce(&topic, 0, &[("z", up("behind", 1).to_json())]);
        kafka.produce(&topic, 1, &[("z", up("beside", 1).to_json())]);
        let prepared = Prepared::new("hostile");
        let drain = prepared
            .drain()
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("KAFKA_CLIENT", client);
        let finished = affordable(row.name, drain).exits(0);
        let reasons: Vec<String> = prepared.reasons().into_values().collect();
        let (recorded, dead_letters, reason) = match row.verdict {
            Recorded(checks) => (checks + 2, 0, ""),
            DeadLetters(dead_letters, reason) => (2, dead_letters, reason),
            Nothing => (2, 0, ""),
        };
        let line = match dead_letters {
            0 => format!("{recorded} checks recorded"),
            _ => format!("{recorded} checks recorded, {dead_letters} dead-lettered"),
        };
        assert_eq!(last_line(&finished.stderr), line, "{}", row.name);
        assert!(
            reasons.iter().all(|found| found.starts_with(reason)),
            "{}: {reasons:?}",
            row.name
        );
        // Said once: the next run has nothing left.
        if reason.starts_with("offsets") {
            let again = prepared
                .drain()
                .var("KAFKA_BROKERS", kafka.bootstrap())
                .var("KAFKA_TOPIC", &topic)
                .run()
                .exits(0);
            assert_eq!(last_line(&again.stderr), "0 checks recorded");
        }
    }
}

#[test]
fn messages_of_every_kind_cost_little_and_stop_nothing() {
    drained(Version::V4_1, "rdkafka", &messages());
}

#[test]
fn messages_of_every_kind_cost_little_and_stop_nothing_with_the_pure_rust_client() {
    drained(Version::V3_9, "kafka", &messages());
}

#[test]
fn batches_that_unpack_to_anything_cost_little_and_stop_nothing() {
    drained(Version::V4_1, "rdkafka", &batches());
}

/// Whatever a batch with a right checksum holds, which only a broker or its disk can make up: the run
/// ends, everything else is recorded, and of what is neither recorded nor passed over it is said
/// where it is.
#[test]
fn any_batch_is_recorded_passed_over_or_named() {
    const BATCHES: i64 = 60;
    /// Mutations in which a message says that its offset is beyond what is behind the batch. Who
    /// stores the log is believed.
    const CLAIMED: i64 = 1;
    let kafka = shared::borrow_kafka(Version::V4_1);
    let topic = unique("mutated");
    kafka.create_topic(&topic, BATCHES as u16);
    for partition in 0..BATCHES {
        let event = up("before", 1_000 * partition).to_json();
        kafka.produce(&topic, partition as i32, &[("a", event)]);
    }
    kafka.stop();
    let seeds: Vec<Vec<u8>> = fuzz::corpus("batch").into_values().collect();
    for (partition, mutated) in fuzz::mutations("batch", BATCHES as usize)
        .iter()
        .enumerate()
    {
        let directory = kafka.data_dir().join(format!("{topic}-{partition}"));
        let file = |suffix| directory.join(format!("00000000000000000000.{suffix}"));
        let mut log = fs::read(file("log")).unwrap();
        // The head of a batch of five messages, with whatever they have become.
        let head = &seeds[partition % seeds.len()];
        log.extend(raw::with_records(head, 1, raw::records(mutated)));
        let behind = up("behind", 1_000 * partition as i64).to_json();
        let behind = raw::batch(
            &[raw::Record {
                value: &behind,
                headers: &[],
            }],
            false,
        );
        log.extend(raw::with_records(&behind, 6, raw::records(&behind)));
        fs::write(file("log"), log).unwrap();
        // Made again from the log.
        fs::remove_file(file("index")).unwrap();
        fs::remove_file(file("timeindex")).unwrap();
    }
    kafka.start_again();
    assert_eq!(kafka.end_offsets(&topic), vec![7; BATCHES as usize]);
    let prepared = Prepared::new("mutated");
    let drain = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("KAFKA_TIMEOUT", "3s");
    let finished = affordable("mutated batches", drain);
    let recorded = |name| {
        prepared.count(&format!(
            "select count(*) from checks join websites on websites.id = website_id where name = '{name}'"
        ))
    };
    let named = finished.stderr.matches("finds no whole message").count() as i64;
    assert_eq!(recorded("before"), BATCHES);
    assert_eq!(recorded("behind") + named + CLAIMED, BATCHES, "{finished}");
}
