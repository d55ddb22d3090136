//! Reading ranges to their ends: holes in the offsets, large messages, brokers that come and go.

use std::time::{Duration, Instant};

use sitewatch_kafka::{Client, KafkaError, Polled, Range, Reader};
use sitewatch_tests::{
    kafka::{End, Version},
    shared,
    wait::{self, SOON},
};

use super::{BY_BROKER, PAIRS, Story, TIMEOUT, plain, read, read_whole, topic, whole, within};

const RDKAFKA: [(Client, Version); 2] = [
    (Client::Rdkafka, Version::V3_9),
    (Client::Rdkafka, Version::V4_1),
];

/// Sixty messages, more than a client fetches ahead.
fn large() -> Vec<(&'static str, String)> {
    (0..60)
        .map(|n| ("k", format!("{n:0>50000}").repeat(10)))
        .collect()
}

fn records(texts: std::ops::Range<usize>) -> Vec<(&'static str, String)> {
    texts.map(|n| ("k", format!("{n}"))).collect()
}

#[test]
fn a_range_is_read_and_not_more() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("range", client, version);
        kafka.create_topic(&topic, 3);
        for partition in 0..3 {
            kafka.produce(&topic, partition, &records(0..100));
        }
        let mut reader = Reader::connect(&plain(client, &kafka.bootstrap(), &topic)).unwrap();

        let story = read(
            &mut reader,
            &[
                Range {
                    partition: 0,
                    next: 10,
                    end: 20,
                },
                Range {
                    partition: 1,
                    next: 99,
                    end: 100,
                },
                Range {
                    partition: 2,
                    next: 50,
                    end: 50,
                },
            ],
        );
        let expected: Vec<String> = (10..20).map(|n| n.to_string()).collect();
        assert_eq!(story.texts(0), expected);
        assert_eq!(story.texts(1), ["99"]);
        assert!(story.texts(2).is_empty());

        let again = read(
            &mut reader,
            &[Range {
                partition: 0,
                next: 0,
                end: 3,
            }],
        );
        assert_eq!(again.texts(0), ["0", "1", "2"], "back to an earlier offset");
    }
}

#[test]
fn a_partition_that_is_given_up_says_no_more() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("given-up", client, version);
        kafka.create_topic(&topic, 2);
        for partition in 0..2 {
            kafka.produce(&topic, partition, &records(0..1000));
        }
        let mut reader = Reader::connect(&plain(client, &kafka.bootstrap(), &topic)).unwrap();
        let ranges = whole(&mut reader);
        reader.assign(&ranges).unwrap();
        let mut counts = [0; 2];
        let deadline = Instant::now() + TIMEOUT;
        while !reader.is_done() && Instant::now() < deadline {
            if let Some(Polled::Record(record)) = reader.poll(TIMEOUT).unwrap() {
                let partition = record.partition() as usize;
                counts[partition] += 1;
                if partition == 0 && counts[0] == 5 {
                    reader.finish(0).unwrap();
                }
            }
        }
        assert_eq!(counts, [5, 1000]);
    }
}

#[test]
fn messages_larger_than_any_default_are_read() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("large", client, version);
        kafka.create_topic_with(&topic, 2, &[("max.message.bytes", "20000000")]);
        let sizes = [10, 40_000, 900_000, 3_000_000, 12_000_000, 20];
        let messages: Vec<_> = sizes.iter().map(|&size| ("k", "x".repeat(size))).collect();
        for message in messages {
            kafka.produce(&topic, 0, &[message]);
        }
        // One batch of 300 KB: the `kafka` crate as it comes asks for 32 KiB and stalls.
        let batch: Vec<_> = (0..300).map(|_| ("k", "y".repeat(1000))).collect();
        kafka.produce(&topic, 1, &batch);

        let story = read_whole(&plain(client, &kafka.bootstrap(), &topic));

        assert!(story.failures.is_empty(), "{:?}", story.failures);
        let lengths: Vec<usize> = story.texts(0).iter().map(String::len).collect();
        assert_eq!(lengths, sizes);
        assert_eq!(story.texts(1).len(), 300);
    }
}

#[test]
fn markers_and_aborted_messages_move_the_position_to_the_end() {
    for (client, version) in RDKAFKA {
        let kafka = shared::kafka(version);
        let topic = topic("markers", client, version);
        kafka.create_topic(&topic, 4);
        kafka.transaction(&topic, 0, &records(0..3), End::Commit);
        kafka.transaction(&topic, 1, &records(0..3), End::Abort);
        kafka.produce(&topic, 2, &records(0..2));
        kafka.transaction(&topic, 2, &records(2..4), End::Abort);
        kafka.transaction(&topic, 2, &records(4..6), End::Commit);
        kafka.produce(&topic, 3, &records(0..2));
        kafka.transaction(&topic, 3, &records(2..4), End::Never);
        let begin = Instant::now();

        let mut reader = Reader::connect(&plain(client, &kafka.bootstrap(), &topic)).unwrap();
        let ranges = whole(&mut reader);
        let ends: Vec<i64> = ranges.iter().map(|range| range.end).collect();
        assert_eq!(ends, [4, 4, 8, 2], "an open transaction is beyond the end");
        let story = read(&mut reader, &ranges);

        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        assert_eq!(story.texts(0), ["0", "1", "2"]);
        assert!(story.texts(1).is_empty());
        assert_eq!(story.texts(2), ["0", "1", "4", "5"]);
        assert_eq!(story.texts(3), ["0", "1"]);
        for end in [(0, 4), (1, 4), (2, 8)] {
            assert!(story.positions.contains(&end), "{story:?}");
        }
        assert!(story.failures.is_empty(), "{story:?}");
    }
}

#[test]
fn the_old_client_ends_at_a_transaction_and_reads_what_is_before_an_open_one() {
    let kafka = shared::kafka(Version::V3_9);
    kafka.create_topic("markers-old", 1);
    kafka.produce("markers-old", 0, &records(0..3));
    kafka.transaction("markers-old", 0, &records(3..6), End::Never);
    kafka.produce("markers-old", 0, &records(6..9));
    let story = read_whole(&plain(Client::Kafka, &kafka.bootstrap(), "markers-old"));
    assert_eq!(story.texts(0), ["0", "1", "2"]);
    assert!(story.failures.is_empty(), "{story:?}");

    kafka.create_topic("markers-older", 1);
    kafka.transaction("markers-older", 0, &records(0..3), End::Commit);
    let settings = plain(Client::Kafka, &kafka.bootstrap(), "markers-older");
    let mut reader = Reader::connect(&settings).unwrap();
    let ranges: Vec<Range> = reader
        .bounds()
        .unwrap()
        .into_iter()
        .map(|bounds| Range {
            partition: bounds.partition,
            next: bounds.first,
            end: bounds.end,
        })
        .collect();
    reader.assign(&ranges).unwrap();
    let error = loop {
        match reader.poll(TIMEOUT) {
            Err(error) => break error,
            Ok(Some(event)) => panic!("{event:?}"),
            Ok(None) => assert!(!reader.is_done()),
        }
    };
    assert!(
        matches!(&error, KafkaError::Configuration { what } if what.contains("KAFKA_CLIENT=rdkafka")),
        "{error}"
    );
}

#[test]
fn offsets_that_are_gone_fail_their_partition_only() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("gone", client, version);
        kafka.create_topic(&topic, 3);
        for partition in 0..3 {
            kafka.produce(&topic, partition, &records(0..50));
        }
        let tool = "org.apache.kafka.tools.DeleteRecordsCommand";
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("offsets.json");
        let text = format!(
            r#"{{"partitions":[{{"topic":"{topic}","partition":1,"offset":20}}],"version":1}}"#
        );
        std::fs::write(&list, text).unwrap();
        let list = list.to_str().unwrap();
        let broker = kafka.bootstrap();
        let arguments = ["--bootstrap-server", &broker, "--offset-json-file", list];
        kafka.tool(tool, &arguments).exits(0);

        let mut reader = Reader::connect(&plain(client, &broker, &topic)).unwrap();
        let bounds = reader.bounds().unwrap();
        assert_eq!((bounds[1].first, bounds[1].end), (20, 50));
        let ranges = [0, 1, 2].map(|partition| Range {
            partition,
            next: 0,
            end: 50,
        });
        let story = read(&mut reader, &ranges);

        assert_eq!(story.failed(), [1]);
        let KafkaError::Partition {
            partition: 1,
            offset: 0,
            cause,
        } = &story.failures[0].1
        else {
            panic!("{story:?}");
        };
        assert!(cause.contains("nothing at this offset"), "{cause}");
        assert_eq!(
            (
                story.texts(0).len(),
                story.texts(1).len(),
                story.texts(2).len()
            ),
            (50, 0, 50)
        );
    }
}

#[test]
fn an_end_that_never_comes_is_an_error_in_time() {
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic("shrunk", 2);
    kafka.produce("shrunk", 0, &records(0..5));
    kafka.produce("shrunk", 1, &records(0..5));
    let settings = plain(Client::Rdkafka, &kafka.bootstrap(), "shrunk");
    let mut reader = Reader::connect(&within(settings, Duration::from_secs(2))).unwrap();

    let ranges = [(0, 9), (1, 5)].map(|(partition, end)| Range {
        partition,
        next: 0,
        end,
    });
    let story = read(&mut reader, &ranges);

    assert_eq!((story.texts(0).len(), story.texts(1).len()), (5, 5));
    assert_eq!(story.failed(), [0]);
    assert!(story.failures[0].1.to_string().contains("lost messages"));
}

#[test]
fn a_broker_that_restarts_is_read_to_the_end() {
    for (version, clients) in BY_BROKER {
        let kafka = shared::borrow_kafka(version);
        let topic = "restarts";
        kafka.create_topic(topic, 1);
        kafka.produce(topic, 0, &large());
        for &client in clients {
            let mut reader = Reader::connect(&plain(client, &kafka.bootstrap(), topic)).unwrap();
            let ranges = whole(&mut reader);
            reader.assign(&ranges).unwrap();
            let mut next = 0;
            let deadline = Instant::now() + TIMEOUT;
            while !reader.is_done() {
                assert!(Instant::now() < deadline, "stuck at {next}");
                if let Some(Polled::Record(record)) = reader.poll(TIMEOUT).unwrap() {
                    assert_eq!(record.offset(), next, "none skipped, none twice");
                    next += 1;
                    if next == 3 {
                        kafka.stop();
                        kafka.start_again();
                    }
                }
            }
            assert_eq!(next, 60);
        }
    }
}

#[test]
fn a_leader_that_moves_is_followed_to_the_end() {
    for (version, clients) in BY_BROKER {
        let kafkas = shared::kafkas(version);
        let (first, second) = &*kafkas;
        let rounds = clients
            .iter()
            .flat_map(|&client| [(client, false), (client, true)]);
        for (client, power_cut) in rounds {
            // The round before left it that way.
            if second.pid().is_none() {
                second.start_again();
            }
            let topic = &format!("{client:?}-{power_cut}");
            wait::until("the cluster has two brokers", TIMEOUT, || {
                first.brokers() == 2
            });
            first.create_topic_led_by(2, topic, 1);
            first.produce(topic, 0, &large());
            assert_eq!(first.leaders(topic), [Some(2)]);
            let mut reader = Reader::connect(&plain(client, &first.bootstrap(), topic)).unwrap();
            let ranges = whole(&mut reader);
            reader.assign(&ranges).unwrap();
            let mut next = 0;
            let deadline = Instant::now() + TIMEOUT;
            while !reader.is_done() {
                assert!(Instant::now() < deadline, "{topic}: stuck at {next}");
                if let Some(Polled::Record(record)) = reader.poll(TIMEOUT).unwrap() {
                    assert_eq!(record.offset(), next, "none skipped, none twice");
                    next += 1;
                    if next == 3 {
                        if power_cut {
                            second.kill();
                        } else {
                            second.stop();
                        }
                    }
                }
            }
            assert_eq!(next, 60);
            assert_eq!(first.leaders(topic), [Some(1)]);
        }
    }
}

#[test]
fn a_broker_that_stays_away_is_an_error_in_time() {
    for (client, version) in PAIRS {
        let kafka = shared::borrow_kafka(version);
        let topic = topic("stays-away", client, version);
        kafka.create_topic(&topic, 1);
        kafka.produce(&topic, 0, &large());
        let settings = plain(client, &kafka.bootstrap(), &topic);
        let mut reader = Reader::connect(&within(settings, Duration::from_secs(2))).unwrap();
        let ranges = whole(&mut reader);
        reader.assign(&ranges).unwrap();
        kafka.kill();
        let begin = Instant::now();
        let error = loop {
            match reader.poll(Duration::from_millis(200)) {
                Ok(_) => assert!(begin.elapsed() < TIMEOUT, "no error"),
                Err(error) => break error,
            }
        };
        // A client that had no time to see the connection break knows of no answer only.
        let silent = matches!(
            error,
            KafkaError::Unreachable { .. } | KafkaError::Timeout { .. }
        );
        assert!(silent, "{error:?}");
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());

        let begin = Instant::now();
        assert!(reader.commit(&[(0, 1)]).is_err());
        assert!(reader.bounds().is_err());
        reader.close();
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    }
}

#[test]
fn many_partitions_are_read_by_few_requests() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = topic("many", client, version);
        kafka.create_topic(&topic, 40);
        for partition in 0..40 {
            kafka.produce(&topic, partition, &records(0..20));
        }
        let story: Story = read_whole(&plain(client, &kafka.bootstrap(), &topic));
        assert_eq!(story.messages.len(), 800);
        assert!(story.failures.is_empty());
    }
}
