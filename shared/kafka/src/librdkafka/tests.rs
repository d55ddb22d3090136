//! Errors that a real broker gives seldom, from librdkafka's mock of one.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::assignment::{assign, partition_list};
use super::config;
use super::watcher::Watcher;
use crate::{
    Client, Delivery, KafkaError, KafkaSettings, Message, Polled, Producer, Range, Reader, Security,
};

type Cluster = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "mocked";
const TIMEOUT: Duration = Duration::from_secs(5);

fn cluster(partitions: i32) -> (Cluster, KafkaSettings) {
    cluster_of(1, partitions)
}

fn cluster_of(brokers: i32, partitions: i32) -> (Cluster, KafkaSettings) {
    let cluster = MockCluster::new(brokers).unwrap();
    cluster.create_topic(TOPIC, partitions, brokers).unwrap();
    let settings = KafkaSettings {
        client: Client::Rdkafka,
        brokers: vec![cluster.bootstrap_servers()],
        topic: TOPIC.into(),
        client_id: "tests".into(),
        group_id: "tests".into(),
        security: Security::default(),
        connect_timeout: TIMEOUT,
        options: Vec::new(),
    };
    (cluster, settings)
}

fn send(settings: &KafkaSettings, count: u64) -> Vec<Delivery> {
    let mut producer = Producer::connect(settings).unwrap();
    for id in 0..count {
        producer
            .send(id, &Message::new(b"key", b"payload"))
            .unwrap();
    }
    producer.finish(Instant::now() + TIMEOUT)
}

#[test]
fn an_error_that_passes_is_not_seen() {
    let (cluster, settings) = cluster(1);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2],
    );

    let deliveries = send(&settings, 3);

    assert_eq!(deliveries.len(), 3);
    assert!(deliveries.iter().all(|delivery| delivery.result.is_ok()));
}

#[test]
fn a_topic_that_may_not_be_written_is_a_refusal() {
    let (cluster, settings) = cluster(1);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 5],
    );

    let deliveries = send(&settings, 1);

    let undelivered = deliveries[0].result.as_ref().unwrap_err();
    assert!(
        matches!(undelivered.reason, KafkaError::Refused { .. }),
        "{:?}",
        undelivered.reason
    );
    assert_eq!(undelivered.payload, b"payload");
}

#[test]
fn a_partition_that_may_not_be_read_fails_alone() {
    let (cluster, settings) = cluster(1);
    send(&settings, 1);
    let mut reader = Reader::connect(&settings).unwrap();
    let end = reader.bounds().unwrap()[0].end;
    assert_eq!(end, 1);
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 9],
    );

    reader
        .assign(&[Range {
            partition: 0,
            next: 0,
            end,
        }])
        .unwrap();
    let polled = reader.poll(TIMEOUT).unwrap();

    let Some(Polled::Failed {
        partition: 0,
        error,
    }) = polled
    else {
        panic!("{polled:?}");
    };
    assert!(
        error.to_string().contains("does not let this user read"),
        "{error}"
    );
    assert!(reader.is_done());
}

#[test]
fn a_leader_that_moves_while_reading_is_followed_to_the_end() {
    const MESSAGES: i64 = 4_000;
    let (cluster, settings) = cluster_of(2, 1);
    cluster.partition_leader(TOPIC, 0, Some(1)).unwrap();
    let mut producer = Producer::connect(&settings).unwrap();
    // More than is fetched ahead.
    let payload = [b'x'; 1_000];
    for id in 0..MESSAGES {
        let message = Message::new(b"key", &payload);
        producer.send(id as u64, &message).unwrap();
    }
    let deliveries = producer.finish(Instant::now() + TIMEOUT);
    assert!(deliveries.iter().all(|delivery| delivery.result.is_ok()));

    let mut reader = Reader::connect(&settings).unwrap();
    let bounds = reader.bounds().unwrap()[0];
    assert_eq!(bounds.end, MESSAGES);
    let whole = Range {
        partition: 0,
        next: 0,
        end: bounds.end,
    };
    reader.assign(&[whole]).unwrap();
    let mut offsets = Vec::new();
    let deadline = Instant::now() + 3 * TIMEOUT;
    while !reader.is_done() {
        assert!(Instant::now() < deadline, "{} were read", offsets.len());
        match reader.poll(Duration::from_millis(100)).unwrap() {
            Some(Polled::Record(record)) => offsets.push(record.offset()),
            Some(Polled::Unreadable { cause, .. }) => panic!("{cause}"),
            Some(Polled::Failed { error, .. }) => panic!("{error}"),
            Some(Polled::Position { .. }) | None => {}
        }
        if offsets.len() == 1 {
            cluster.partition_leader(TOPIC, 0, Some(2)).unwrap();
        }
    }
    assert_eq!(offsets, (0..MESSAGES).collect::<Vec<_>>());
}

/// Each takes away what the one before began to fetch.
#[test]
fn assignments_may_follow_each_other_at_once() {
    let (_cluster, settings) = cluster(1);
    send(&settings, 1);
    let client = config::consumer(&settings)
        .unwrap()
        .create_with_context(Watcher::new(settings.broker_list()))
        .unwrap();
    let list = partition_list(TOPIC, [(0, Offset::Offset(0))].into_iter()).unwrap();
    for _ in 0..5_000 {
        assign(&client, &list).unwrap();
    }

    let message = client.poll(TIMEOUT).expect("a message").unwrap();

    assert_eq!(message.offset(), 0);
}

/// librdkafka's own broker has no controller, which is who tells ids.
#[test]
fn a_topic_id_that_nobody_tells_is_an_error_of_its_own() {
    let (_cluster, settings) = cluster(1);
    let mut reader = Reader::connect(&settings).unwrap();
    assert_eq!(reader.topic_id(), Ok(None));

    assert_eq!(reader.bounds().unwrap().len(), 1);

    let error = reader.topic_id().unwrap_err();
    assert!(error.to_string().contains("tell the topic's id"), "{error}");
}

/// What a broker answers for a moment after its start.
#[test]
fn a_broker_that_does_not_know_yet_that_it_leads_is_asked_again() {
    let (cluster, settings) = cluster(1);
    send(&settings, 1);
    let mut reader = Reader::connect(&settings).unwrap();
    cluster.request_errors(
        RDKafkaApiKey::ListOffsets,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH; 2],
    );

    assert_eq!(reader.bounds().unwrap()[0].end, 1);
}

#[test]
fn a_commit_that_is_refused_says_so() {
    let (cluster, settings) = cluster(1);
    let mut reader = Reader::connect(&settings).unwrap();
    cluster.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 9],
    );

    let error = reader.commit(&[(0, 1)]).unwrap_err();

    assert!(matches!(error, KafkaError::Refused { .. }), "{error:?}");
}

#[test]
fn a_partition_without_a_leader_does_not_hold_bounds_up() {
    let (cluster, mut settings) = cluster(2);
    settings.connect_timeout = Duration::from_secs(1);
    let mut reader = Reader::connect(&settings).unwrap();
    cluster.partition_leader(TOPIC, 1, None).unwrap();
    let begin = Instant::now();

    let error = reader.bounds().unwrap_err();

    assert!(begin.elapsed() < TIMEOUT, "{error}");
}
