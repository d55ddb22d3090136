//! Brokers that cannot be reached, do not answer, or lack the topic: the right error, in time.

use std::{
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use sitewatch_kafka::{Admin, Client, Created, Deleted, KafkaError, Reader};
use sitewatch_tests::{
    kafka::{Kafka, Version},
    port, shared,
};

use sitewatch_tests::wait::{self, SOON};

use super::{BY_BROKER, PAIRS, TIMEOUT, plain, refusal, within};

const SHORT: Duration = Duration::from_millis(1500);
/// For a broker that answers: also when the machine has much else to do.
const LONG: Duration = Duration::from_secs(6);
const BOTH: [Client; 2] = [Client::Rdkafka, Client::Kafka];

#[track_caller]
fn unreachable(error: &KafkaError, cause: &str) {
    assert!(matches!(error, KafkaError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(cause), "{error}");
}

#[test]
fn a_closed_port_is_named_as_refused() {
    for client in BOTH {
        let broker = format!("127.0.0.1:{}", port::reserve());
        let error = refusal(&within(plain(client, &broker, "t"), LONG));
        unreachable(&error, "onnection refused");
        assert!(error.to_string().contains(&broker), "{error}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_named() {
    for client in BOTH {
        let error = refusal(&within(plain(client, "kafka.invalid:9092", "t"), SHORT));
        unreachable(&error, "kafka.invalid");
    }
}

#[test]
fn a_broker_that_accepts_and_says_nothing_ends_in_time() {
    for client in BOTH {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = silent.local_addr().unwrap().to_string();
        let error = refusal(&within(plain(client, &broker, "t"), SHORT));
        unreachable(&error, "no answer in time");
    }
}

#[test]
fn packets_that_nobody_answers_end_in_time() {
    // A full queue of connections drops the packets that ask for another.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 1000, "the queue never fills");
    }
    for client in BOTH {
        let error = refusal(&within(plain(client, &address.to_string(), "t"), SHORT));
        unreachable(&error, "");
    }
}

#[test]
fn a_broker_that_comes_up_while_it_is_looked_for_is_used() {
    for client in BOTH {
        let proxied = shared::proxied_kafka(Version::V3_9);
        let topic = super::topic("comes-up", client, Version::V3_9);
        proxied.create_topic(&topic, 1);
        proxied.proxy().refuse();
        let settings = plain(client, &proxied.proxied_bootstrap(), &topic);
        thread::scope(|scope| {
            let connecting = scope.spawn(|| Reader::connect(&settings).map(Reader::close));
            thread::sleep(Duration::from_millis(500));
            proxied.proxy().resume();
            connecting.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_broker_that_is_away_does_not_hide_one_that_answers() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = super::topic("two-brokers", client, version);
        kafka.create_topic(&topic, 1);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = within(plain(client, "", &topic), Duration::from_secs(6));
        settings.brokers = vec![
            format!("127.0.0.1:{}", port::reserve()),
            silent.local_addr().unwrap().to_string(),
            kafka.bootstrap(),
        ];
        Reader::connect(&settings).unwrap().close();
    }
}

#[test]
fn an_unknown_topic_is_said_and_not_created() {
    for (version, clients) in BY_BROKER {
        let kafka = Kafka::options(version)
            .set("auto.create.topics.enable", "true")
            .start();
        for &client in clients {
            let error = refusal(&plain(client, &kafka.bootstrap(), "not-there"));

            let topic = "not-there".to_owned();
            assert_eq!(error, KafkaError::UnknownTopic { topic });
            assert!(error.to_string().contains("setup"), "{error}");
        }
        let list = ["--bootstrap-server", &kafka.bootstrap(), "--list"];
        let topics = kafka
            .tool("org.apache.kafka.tools.TopicCommand", &list)
            .exits(0);
        assert!(!topics.stdout.contains("not-there"), "{}", topics.stdout);
    }
}

#[test]
fn the_old_client_says_at_once_that_a_broker_is_too_new() {
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic("too-new", 1);
    let settings = plain(Client::Kafka, &kafka.bootstrap(), "too-new");
    let begin = Instant::now();

    let error = refusal(&settings);

    assert!(matches!(error, KafkaError::TooNew { .. }), "{error:?}");
    assert!(
        error.to_string().contains("KAFKA_CLIENT=rdkafka"),
        "{error}"
    );
    assert!(begin.elapsed() < SOON);
    let tls = super::mutual_tls(
        plain(Client::Kafka, &kafka.ssl_bootstrap(), "too-new"),
        &kafka.certificate_dir(),
    );
    assert!(matches!(refusal(&tls), KafkaError::TooNew { .. }));
}

#[test]
fn topics_are_created_once_and_deleted_once() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = super::topic("administered", client, version);
        let admin = Admin::connect(&plain(client, &kafka.bootstrap(), &topic)).unwrap();
        let configs = [("retention.ms".to_owned(), "86400000".to_owned())];

        assert_eq!(admin.partition_count(&topic), Ok(None));
        assert_eq!(
            admin.create_topic(&topic, 3, 1, &configs),
            Ok(Created::Created)
        );
        assert_eq!(
            admin.create_topic(&topic, 5, 1, &[]),
            Ok(Created::AlreadyThere)
        );
        // The broker that answers has not heard of it from the controller at once.
        wait::until("the topic is there", TIMEOUT, || {
            admin.partition_count(&topic).unwrap().is_some()
        });
        assert_eq!(admin.partition_count(&topic), Ok(Some(3)));
        assert_eq!(admin.delete_topic(&topic), Ok(Deleted::Deleted));
        assert_eq!(admin.delete_topic(&topic), Ok(Deleted::NotThere));

        let error = admin.create_topic(&topic, 1, 9, &[]).unwrap_err();
        assert!(error.to_string().contains("eplication"), "{error}");
        let wrong = [("no.such.setting".to_owned(), "1".to_owned())];
        assert!(admin.create_topic(&topic, 1, 1, &wrong).is_err());
    }
}
