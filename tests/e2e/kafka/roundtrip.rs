//! What is sent is read back, on every kind of connection.

use std::time::Duration;

use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use sitewatch_kafka::{Client, KafkaSettings, Polled, Reader};
use sitewatch_tests::{
    kafka::{Kafka, Version},
    shared, wait,
};

use super::{PAIRS, TIMEOUT, all_delivered, mutual_tls, plain, produce, read, topic, whole};

#[track_caller]
fn there_and_back(kafka: &Kafka, settings: &KafkaSettings) {
    const COUNT: u64 = 300;
    let name = &settings.topic;
    kafka.create_topic(name, 4);
    let payloads: Vec<Vec<u8>> = (0..COUNT)
        .map(|n| format!("event {n}").into_bytes())
        .collect();

    all_delivered(&produce(settings, &payloads), COUNT);

    let mut reader = Reader::connect(settings).unwrap();
    let bounds = reader.bounds().unwrap();
    let ends: Vec<i64> = bounds.iter().map(|bounds| bounds.end).collect();
    assert_eq!(ends, kafka.end_offsets(name));
    assert_eq!(
        reader.group_offsets().unwrap(),
        [(0, None), (1, None), (2, None), (3, None)]
    );

    let ranges = whole(&mut reader);
    let story = read(&mut reader, &ranges);
    assert!(story.failures.is_empty(), "{story:?}");
    let mut read: Vec<Vec<u8>> = story
        .messages
        .iter()
        .map(|message| message.2.clone())
        .collect();
    read.sort();
    let mut sent = payloads;
    sent.sort();
    assert_eq!(read, sent);
    for partition in 0..4 {
        let offsets = story
            .messages
            .iter()
            .filter(|it| it.0 == partition)
            .map(|it| it.1);
        let expected: Vec<i64> = (0..ends[partition as usize]).collect();
        assert_eq!(
            offsets.collect::<Vec<_>>(),
            expected,
            "in order, none twice"
        );
    }

    let commits: Vec<(i32, i64)> = bounds.iter().map(|it| (it.partition, it.end)).collect();
    reader.commit(&commits).unwrap();
    let known = commits
        .iter()
        .map(|&(partition, offset)| (partition, Some(offset)));
    assert_eq!(reader.group_offsets().unwrap(), known.collect::<Vec<_>>());
    reader.close();
    for lag in kafka.group_lag(&settings.group_id) {
        assert_eq!((lag.lag, lag.current), (Some(0), Some(lag.end)), "{lag:?}");
    }
}

#[test]
fn unencrypted() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("roundtrip-plain", client, version);
        there_and_back(kafka, &plain(client, &kafka.bootstrap(), &topic));
    }
}

#[test]
fn with_tls_and_a_client_certificate() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("roundtrip-tls", client, version);
        let settings = plain(client, &kafka.ssl_bootstrap(), &topic);
        there_and_back(kafka, &mutual_tls(settings, &kafka.certificate_dir()));
    }
}

#[test]
fn a_key_keeps_its_partition_whichever_client_writes_it() {
    let kafka = shared::kafka(Version::V3_9);
    let partitions_of = |client| {
        let topic = topic("partitioner", client, Version::V3_9);
        kafka.create_topic(&topic, 7);
        let payloads: Vec<Vec<u8>> = (0..50).map(|n: u8| vec![n]).collect();
        all_delivered(
            &produce(&plain(client, &kafka.bootstrap(), &topic), &payloads),
            50,
        );
        let mut placed: Vec<_> = kafka
            .consume_all(&topic)
            .into_iter()
            .map(|record| (record.key, record.partition))
            .collect();
        placed.sort();
        placed
    };

    assert_eq!(partitions_of(Client::Rdkafka), partitions_of(Client::Kafka));
}

#[test]
fn a_message_shows_its_key_headers_and_time() {
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic("anatomy", 1);
    let producer: BaseProducer = kafka.client().create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace",
            value: Some("abc"),
        })
        .insert(Header {
            key: "empty",
            value: None::<&str>,
        });
    let record = BaseRecord::to("anatomy")
        .key("k")
        .payload("p")
        .timestamp(1_700_000_000_123);
    producer.send(record.headers(headers)).unwrap();
    producer.send(BaseRecord::<(), ()>::to("anatomy")).unwrap();
    wait::until("delivery", TIMEOUT, || {
        producer.poll(Duration::ZERO);
        producer.in_flight_count() == 0
    });

    let settings = plain(Client::Rdkafka, &kafka.bootstrap(), "anatomy");
    let mut reader = Reader::connect(&settings).unwrap();
    let ranges = whole(&mut reader);
    reader.assign(&ranges).unwrap();
    let Some(Polled::Record(record)) = reader.poll(TIMEOUT).unwrap() else {
        panic!("no record");
    };
    assert_eq!((record.partition(), record.offset()), (0, 0));
    assert_eq!(record.key(), Some(&b"k"[..]));
    assert_eq!(record.payload(), Some(&b"p"[..]));
    assert_eq!(record.timestamp_ms(), Some(1_700_000_000_123));
    let headers: Vec<_> = record.headers().collect();
    assert_eq!(headers, [("trace", Some(&b"abc"[..])), ("empty", None)]);
    let Some(Polled::Record(record)) = reader.poll(TIMEOUT).unwrap() else {
        panic!("no second record");
    };
    assert_eq!((record.key(), record.payload()), (None, None));
    assert_eq!(record.headers().count(), 0);
}
