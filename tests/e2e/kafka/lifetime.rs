//! Processes that live for milliseconds: they end cleanly, however often.

use std::{env, process::Command, time::Duration};

use sitewatch::kafka::{Client, KafkaSettings, Reader};
use sitewatch_tests::shared;

use super::{PAIRS, all_delivered, mutual_tls, plain, produce, read, whole};

const BROKER: &str = "SITEWATCH_E2E_BROKER";
const FOLDER: &str = "SITEWATCH_E2E_CERTIFICATES";
const TOPIC: &str = "SITEWATCH_E2E_TOPIC";
const CLIENT: &str = "SITEWATCH_E2E_CLIENT";

/// Enough to meet a crash that came in 3 of 100 lives.
const LIVES: usize = 60;

#[test]
fn a_process_ends_cleanly_under_tls_every_time() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = super::topic("lives", client, version);
        kafka.create_topic(&topic, 2);
        for life in 0..LIVES {
            let output = Command::new(env::current_exe().unwrap())
                .args([
                    "--exact",
                    "kafka::lifetime::one_short_life",
                    "--ignored",
                    "--nocapture",
                ])
                .env(BROKER, kafka.ssl_bootstrap())
                .env(FOLDER, kafka.certificate_dir())
                .env(TOPIC, &topic)
                .env(CLIENT, format!("{client:?}"))
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "life {life} of {client:?}: {output:?}"
            );
        }
    }
}

/// What [`a_process_ends_cleanly_under_tls_every_time`] starts.
#[test]
#[ignore = "a part of another test, which runs it as a process"]
#[expect(
    clippy::disallowed_methods,
    reason = "the arguments of this process, from the test that starts it"
)]
fn one_short_life() {
    let [broker, folder, topic, client] =
        [BROKER, FOLDER, TOPIC, CLIENT].map(|name| env::var(name).unwrap());
    let client = match client.as_str() {
        "Kafka" => Client::Kafka,
        _ => Client::Rdkafka,
    };
    let settings: KafkaSettings = mutual_tls(
        plain(client, &broker, &topic),
        std::path::Path::new(&folder),
    );
    all_delivered(&produce(&settings, &[b"one".to_vec(), b"two".to_vec()]), 2);
    let mut reader = Reader::connect(&settings).unwrap();
    let ranges = whole(&mut reader);
    let story = read(&mut reader, &ranges);
    assert!(story.messages.len() >= 2);
    reader.commit(&[(0, ranges[0].end)]).unwrap();
    // A reader that still fetches is dropped on some lives, one that is done on others.
    reader.assign(&ranges).unwrap();
    reader.poll(Duration::ZERO).unwrap();
}
