//! What cannot be read is said, for its partition only, and never passed over.

use std::{fs, path::PathBuf};

use sitewatch_kafka::Client;
use sitewatch_tests::{
    kafka::{Codec, Kafka, Version},
    shared,
};

use super::{PAIRS, plain, read_whole, topic};

#[test]
fn codecs_are_read_or_named() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("codecs", client, version);
        kafka.create_topic(&topic, 5);
        let records: Vec<_> = (0..100).map(|n| ("k", format!("{n}"))).collect();
        for (partition, codec) in (0..).zip(Codec::ALL) {
            kafka.produce_with(codec, &topic, partition, &records);
            kafka.produce_with(codec, &topic, partition, &records);
        }

        let story = read_whole(&plain(client, &kafka.bootstrap(), &topic));

        let readable: &[i32] = match client {
            Client::Rdkafka => &[0, 1, 2, 3, 4],
            Client::Kafka => &[0, 1, 2],
        };
        for partition in 0..5 {
            let codec = Codec::ALL[partition as usize];
            let texts = story.texts(partition);
            if readable.contains(&partition) {
                let expected: Vec<_> = (0..100).chain(0..100).map(|n| n.to_string()).collect();
                assert_eq!(texts, expected, "{codec:?}");
            } else {
                assert!(texts.is_empty(), "{codec:?}");
                let (_, error) = story.failures.iter().find(|it| it.0 == partition).unwrap();
                let text = error.to_string();
                assert!(text.contains(codec.name()), "{text}");
                assert!(text.contains("KAFKA_CLIENT=rdkafka"), "{text}");
            }
        }
        assert_eq!(story.failures.len(), 5 - readable.len());
    }
}

#[test]
fn a_batch_damaged_on_disk_is_passed_over_and_named() {
    for version in Version::ALL {
        let kafka = shared::borrow_kafka(version);
        kafka.create_topic("damaged", 3);
        for partition in 0..3 {
            for batch in 0..4 {
                let records: Vec<_> = (0..10)
                    .map(|n| ("k", format!("batch {batch} message {n}")))
                    .collect();
                kafka.produce("damaged", partition, &records);
            }
        }
        kafka.create_topic("old", 1);
        kafka.produce("old", 0, &[("k", "a message to damage")]);
        kafka.stop();
        damage(&log_of(&kafka, "damaged-1"), b"batch 2 message 5");
        damage(&log_of(&kafka, "old-0"), b"a message to damage");
        kafka.start_again();

        let story = read_whole(&plain(Client::Rdkafka, &kafka.bootstrap(), "damaged"));

        assert_eq!(story.texts(0).len(), 40);
        assert_eq!(story.texts(2).len(), 40);
        assert_eq!(story.texts(1).len(), 30, "all but what is damaged");
        assert!(story.failures.is_empty(), "{story:?}");
        let [(1, 20, 30, cause)] = &story.unreadable[..] else {
            panic!("{:?}", story.unreadable);
        };
        assert!(cause.contains("CRC"), "{cause}");
        if version == Version::V3_9 {
            the_old_client_cannot_tell(&kafka);
        }
    }
}

/// A known limit, kept here so that it is known when it changes: the broker computes a new
/// checksum when it translates a batch into what the old client understands.
fn the_old_client_cannot_tell(kafka: &Kafka) {
    let story = read_whole(&plain(Client::Kafka, &kafka.bootstrap(), "old"));
    assert_eq!(story.messages.len(), 1);
    assert_ne!(story.texts(0), ["a message to damage"]);
}

fn log_of(kafka: &Kafka, partition: &str) -> PathBuf {
    let file = "00000000000000000000.log";
    kafka.data_dir().join(partition).join(file)
}

/// Flips a bit in the middle of `text`.
fn damage(log: &PathBuf, text: &[u8]) {
    let mut bytes = fs::read(log).unwrap();
    let at = bytes
        .windows(text.len())
        .position(|window| window == text)
        .unwrap();
    bytes[at + text.len() / 2] ^= 1;
    fs::write(log, bytes).unwrap();
}
