//! `sitewatch_kafka` on real brokers: both clients, each with the brokers it is for.

mod connecting;
mod lifetime;
mod producing;
mod reading;
mod roundtrip;
pub(crate) mod security;
mod unreadable;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sitewatch_kafka::{
    Client, Delivery, KafkaError, KafkaSettings, Mechanism, Message, Polled, Producer, Protocol,
    Range, Reader, Sasl, Security,
};
use sitewatch_tests::kafka::{PASSWORD, USER, Version};
use sitewatch_tests::wait::SOON;

/// Each client with the brokers it is for.
pub(crate) const PAIRS: [(Client, Version); 3] = [
    (Client::Rdkafka, Version::V3_9),
    (Client::Rdkafka, Version::V4_1),
    (Client::Kafka, Version::V3_9),
];

/// The same by broker, for stories that need one of their own: starting it is most of their cost.
const BY_BROKER: [(Version, &[Client]); 2] = [
    (Version::V3_9, &[Client::Rdkafka, Client::Kafka]),
    (Version::V4_1, &[Client::Rdkafka]),
];

/// Far more than a broker on a busy machine needs.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Settings for an unencrypted listener.
fn plain(client: Client, broker: &str, topic: &str) -> KafkaSettings {
    KafkaSettings {
        client,
        brokers: vec![broker.to_owned()],
        topic: topic.to_owned(),
        client_id: "sitewatch-e2e".to_owned(),
        group_id: format!("{topic}-group"),
        security: Security::default(),
        connect_timeout: TIMEOUT,
        options: Vec::new(),
    }
}

/// The same with TLS and a client certificate, from the directory that Kafka services hand out.
fn mutual_tls(mut settings: KafkaSettings, directory: &Path) -> KafkaSettings {
    settings.security = Security {
        protocol: Protocol::Ssl,
        ca_file: Some(directory.join("ca.pem")),
        cert_file: Some(directory.join("service.cert")),
        key_file: Some(directory.join("service.key")),
        sasl: None,
    };
    settings
}

fn sasl(mut settings: KafkaSettings, mechanism: Mechanism, password: &str) -> KafkaSettings {
    settings.security.protocol = match settings.security.protocol {
        Protocol::Ssl | Protocol::SaslSsl => Protocol::SaslSsl,
        Protocol::Plaintext | Protocol::SaslPlaintext => Protocol::SaslPlaintext,
    };
    settings.security.sasl = Some(Sasl {
        mechanism,
        username: USER.to_owned(),
        password: password.into(),
    });
    settings
}

fn within(settings: KafkaSettings, connect_timeout: Duration) -> KafkaSettings {
    KafkaSettings {
        connect_timeout,
        ..settings
    }
}

/// A topic's name from a story's and what it runs with.
fn topic(story: &str, client: Client, version: Version) -> String {
    format!("{story}-{client:?}-{version:?}").to_lowercase()
}

/// Sends one message for each payload, all with their number as key, and waits for their fates, in
/// order of number.
#[track_caller]
fn produce(settings: &KafkaSettings, payloads: &[Vec<u8>]) -> Vec<Delivery> {
    let mut producer = Producer::connect(settings).unwrap();
    let mut deliveries = Vec::new();
    for (id, payload) in (0..).zip(payloads) {
        let key = format!("key-{id}");
        let message = Message::new(key.as_bytes(), payload);
        producer.send(id, &message).unwrap();
        deliveries.append(&mut producer.poll());
    }
    deliveries.append(&mut producer.finish(Instant::now() + TIMEOUT));
    deliveries.sort_by_key(|delivery| delivery.id);
    deliveries
}

#[track_caller]
fn all_delivered(deliveries: &[Delivery], count: u64) {
    let ids: Vec<u64> = deliveries.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids, (0..count).collect::<Vec<_>>(), "each id exactly once");
    for delivery in deliveries {
        assert!(delivery.result.is_ok(), "{delivery:?}");
    }
}

/// What a reader said until it was done.
#[derive(Debug, Default)]
struct Story {
    /// Partition, offset and payload.
    messages: Vec<(i32, i64, Vec<u8>)>,
    positions: Vec<(i32, i64)>,
    failures: Vec<(i32, KafkaError)>,
    /// Partition, first offset, the one after the last, and why.
    unreadable: Vec<(i32, i64, i64, String)>,
}

impl Story {
    fn texts(&self, partition: i32) -> Vec<String> {
        self.messages
            .iter()
            .filter(|message| message.0 == partition)
            .map(|message| String::from_utf8_lossy(&message.2).into_owned())
            .collect()
    }

    fn failed(&self) -> Vec<i32> {
        let mut partitions: Vec<i32> = self.failures.iter().map(|failure| failure.0).collect();
        partitions.sort_unstable();
        partitions
    }
}

/// All that the topic holds, as ranges.
#[track_caller]
fn whole(reader: &mut Reader) -> Vec<Range> {
    let bounds = reader.bounds().unwrap();
    bounds
        .iter()
        .map(|bounds| Range {
            partition: bounds.partition,
            next: bounds.first,
            end: bounds.end,
        })
        .collect()
}

/// Reads the ranges to their ends.
#[track_caller]
fn read(reader: &mut Reader, ranges: &[Range]) -> Story {
    let mut story = Story::default();
    let deadline = Instant::now() + TIMEOUT;
    reader.assign(ranges).unwrap();
    while !reader.is_done() {
        assert!(Instant::now() < deadline, "not done: {reader:?}, {story:?}");
        match reader.poll(Duration::from_millis(100)).unwrap() {
            None => {}
            Some(Polled::Record(record)) => story.messages.push((
                record.partition(),
                record.offset(),
                record.payload().unwrap_or_default().to_vec(),
            )),
            Some(Polled::Position { partition, next }) => {
                story.positions.push((partition, next));
            }
            Some(Polled::Unreadable {
                partition,
                from,
                next,
                cause,
            }) => story.unreadable.push((partition, from, next, cause)),
            Some(Polled::Failed { partition, error }) => story.failures.push((partition, error)),
        }
    }
    story
}

/// Reads all of the topic.
#[track_caller]
fn read_whole(settings: &KafkaSettings) -> Story {
    let mut reader = Reader::connect(settings).unwrap();
    let ranges = whole(&mut reader);
    let story = read(&mut reader, &ranges);
    reader.close();
    story
}

/// The error of connecting, which must come within the time allowed for it, as a producer and as a
/// reader alike.
#[track_caller]
fn refusal(settings: &KafkaSettings) -> KafkaError {
    let limit = settings.connect_timeout + SOON;
    let begin = Instant::now();
    let reading = Reader::connect(settings).expect_err("the reader must not connect");
    assert!(begin.elapsed() < limit, "{:?}: {reading}", begin.elapsed());
    let begin = Instant::now();
    let producing = Producer::connect(settings).expect_err("the producer must not connect");
    assert!(
        begin.elapsed() < limit,
        "{:?}: {producing}",
        begin.elapsed()
    );
    assert_eq!(
        std::mem::discriminant(&producing),
        std::mem::discriminant(&reading),
        "{producing} / {reading}"
    );
    assert!(!producing.to_string().contains(PASSWORD));
    assert!(!format!("{producing:?} {settings:?}").contains(PASSWORD));
    producing
}
