//! Kafka, both versions: starts, carries messages on every listener, keeps them, and leaves nothing
//! behind.

use std::{panic, path::PathBuf, time::Duration};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};
use sitewatch_tests::{
    kafka::{Codec, End, Kafka, Lag, PASSWORD, USER, Version},
    port, shared, wait,
};

#[test]
fn messages_come_back_in_order_whatever_compressed_them() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        for codec in Codec::ALL {
            let topic = format!("codec-{}", codec.name());
            kafka.create_topic(&topic, 2);
            kafka.produce_with(codec, &topic, 1, &[("a", "1"), ("b", "2")]);
            kafka.produce(&topic, 0, &[("c", "3")]);

            let read: Vec<_> = kafka
                .consume_all(&topic)
                .iter()
                .map(|record| (record.partition, record.offset, record.text()))
                .collect();
            let expected = [(0, 0, "3"), (1, 0, "1"), (1, 1, "2")]
                .map(|(partition, offset, text)| (partition, offset, text.to_owned()));
            assert_eq!(read, expected, "{version:?} {codec:?}");
            assert_eq!(kafka.end_offsets(&topic), [1, 2]);
        }
    }
}

#[test]
fn topics_come_and_go_and_are_not_made_by_asking() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        assert_eq!(kafka.partitions("comes-and-goes"), 0);
        assert_eq!(kafka.partitions("comes-and-goes"), 0);
        kafka.create_topic_with("comes-and-goes", 3, &[("retention.ms", "60000")]);
        assert_eq!(kafka.partitions("comes-and-goes"), 3);
        kafka.delete_topic("comes-and-goes");
        assert_eq!(kafka.partitions("comes-and-goes"), 0);
    }
}

#[test]
fn only_committed_transactions_are_read() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        kafka.create_topic("transactions", 1);
        kafka.transaction("transactions", 0, &[("k", "counts")], End::Commit);
        kafka.transaction("transactions", 0, &[("k", "does not")], End::Abort);
        let texts: Vec<String> = kafka
            .consume_all("transactions")
            .iter()
            .map(sitewatch_tests::kafka::Record::text)
            .collect();
        assert_eq!(texts, ["counts"]);
        // Two messages, each with a marker behind it.
        assert_eq!(kafka.end_offsets("transactions"), [4]);
    }
}

#[test]
fn the_lag_of_a_group_is_what_the_operators_tool_says() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        kafka.create_topic("lag", 1);
        kafka.produce("lag", 0, &[("k", "1"), ("k", "2"), ("k", "3")]);
        let consumer: BaseConsumer = kafka.client().set("group.id", "lagging").create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset("lag", 0, Offset::Offset(1))
            .unwrap();
        consumer.commit(&offsets, CommitMode::Sync).unwrap();

        assert_eq!(kafka.group_offsets("lagging", "lag"), [(0, 1)].into());
        let expected = Lag {
            topic: "lag".to_owned(),
            partition: 0,
            current: Some(1),
            end: 3,
            lag: Some(2),
        };
        assert_eq!(kafka.group_lag("lagging"), [expected]);
    }
}

#[test]
fn every_listener_demands_what_it_should() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        kafka.create_topic("listeners", 1);
        let files = kafka.certificate_dir();
        let file = |name: &str| files.join(name).display().to_string();
        let ca = ("ssl.ca.location", file("ca.pem"));
        let certificate = ("ssl.certificate.location", file("service.cert"));
        let key = ("ssl.key.location", file("service.key"));
        let ssl = ("security.protocol", "SSL".to_owned());

        let (tls, plain) = (kafka.ssl_bootstrap(), kafka.sasl_bootstrap());
        let mutual = [ssl.clone(), ca.clone(), certificate.clone(), key.clone()];
        assert!(works(&tls, &mutual), "mutual TLS");
        assert!(!works(&tls, &[ssl.clone(), ca.clone()]), "no certificate");
        assert!(!works(&tls, &[ssl, certificate, key]), "unknown CA");

        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let with = |protocol: &str, password: &str| {
                [
                    ("security.protocol", protocol.to_owned()),
                    ("sasl.mechanism", mechanism.to_owned()),
                    ("sasl.username", USER.to_owned()),
                    ("sasl.password", password.to_owned()),
                    ca.clone(),
                ]
            };
            let encrypted = kafka.sasl_ssl_bootstrap();
            assert!(
                works(&plain, &with("SASL_PLAINTEXT", PASSWORD)),
                "{mechanism}"
            );
            assert!(!works(&plain, &with("SASL_PLAINTEXT", "no")), "{mechanism}");
            assert!(
                works(&encrypted, &with("SASL_SSL", PASSWORD)),
                "{mechanism}"
            );
            assert!(!works(&encrypted, &with("SASL_SSL", "no")), "{mechanism}");
        }
    }
}

/// Whether a client with these settings is told of the topic, rather than of a refusal.
fn works(bootstrap: &str, settings: &[(&str, String)]) -> bool {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in settings {
        config.set(*name, value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    wait::for_some("an answer or a refusal", Duration::from_secs(60), || {
        let metadata = consumer.fetch_metadata(Some("listeners"), Duration::from_millis(50));
        if let Ok(metadata) = metadata {
            assert_eq!(metadata.topics()[0].error(), None);
            return Some(true);
        }
        // Refusals come as events, while the question stays without an answer.
        consumer.poll(Duration::ZERO)?.is_err().then_some(false)
    })
}

#[test]
fn messages_survive_a_stop_and_a_kill_and_a_pause() {
    for version in Version::ALL {
        let kafka = shared::borrow_kafka(version);
        let bootstrap = kafka.bootstrap();
        kafka.create_topic("survives", 1);
        kafka.produce("survives", 0, &[("k", "1")]);

        kafka.stop();
        assert_eq!(kafka.pid(), None);
        kafka.start_again();
        kafka.produce("survives", 0, &[("k", "2")]);
        kafka.kill();
        kafka.start_again();
        kafka.pause();
        let metadata = kafka.client().create::<BaseConsumer>().unwrap();
        let silent = metadata.fetch_metadata(None, Duration::from_millis(300));
        kafka.resume();
        assert!(silent.is_err(), "a paused broker answers nothing");

        assert_eq!(kafka.bootstrap(), bootstrap);
        let texts: Vec<String> = kafka
            .consume_all("survives")
            .iter()
            .map(sitewatch_tests::kafka::Record::text)
            .collect();
        assert_eq!(texts, ["1", "2"]);
    }
}

#[test]
fn it_is_gone_after_a_test_that_panics() {
    let seen = panic::catch_unwind(|| {
        let kafka = Kafka::start(Version::V4_1);
        let port: u16 = kafka
            .bootstrap()
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        panic::panic_any((kafka.pid().unwrap(), port, kafka.data_dir()));
    });
    let (pid, port, directory) = *seen.unwrap_err().downcast::<(u32, u16, PathBuf)>().unwrap();
    assert!(!super::cleanup::is_alive(pid));
    assert!(!port::is_open(port));
    assert!(!directory.exists());
}

#[test]
fn a_failed_start_tells_what_the_broker_said() {
    let failure = Kafka::options(Version::V3_9)
        .set("num.io.threads", "none")
        .try_start()
        .err()
        .expect("no such number");
    let text = failure.to_string();
    assert!(
        text.contains("Invalid value none for configuration num.io.threads"),
        "{text}"
    );
}

#[test]
fn a_topic_of_small_segments_has_many() {
    let kafka = shared::kafka(Version::V3_9);
    kafka.create_topic_with("segments", 1, &[("segment.bytes", "1048576")]);
    let big = "x".repeat(600 * 1024);
    for _ in 0..3 {
        kafka.produce("segments", 0, &[("k", &big)]);
    }
    let segments = std::fs::read_dir(kafka.data_dir().join("segments-0"))
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "log")
        })
        .count();
    assert_eq!(segments, 3);
}
