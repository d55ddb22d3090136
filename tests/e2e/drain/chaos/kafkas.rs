//! Any Kafka people run: passwords, certificates, codecs of other clients, damage on disk.

use std::fs;
use std::time::Duration;

use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::{Codec, Kafka, PASSWORD, USER, Version};
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use crate::kafka::security::tls_server;
use crate::support::{Prepared, last_line, lines, unique, up};

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

fn with_password(run: Run, kafka: &Kafka, encrypted: bool, mechanism: &str) -> Run {
    let run = run
        .var("KAFKA_SASL_MECHANISM", mechanism)
        .var("KAFKA_SASL_USERNAME", USER)
        .var("KAFKA_TIMEOUT", "5s");
    if encrypted {
        run.var("KAFKA_BROKERS", kafka.sasl_ssl_bootstrap())
            .var("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
            .var("KAFKA_CA_FILE", kafka.certificate_dir().join("ca.pem"))
    } else {
        run.var("KAFKA_BROKERS", kafka.sasl_bootstrap())
            .var("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    }
}

fn from_a_website_to_a_row(version: Version) {
    let kafka = shared::kafka(version);
    let prepared = Prepared::new("sasl");
    let website = Website::up("hello");
    let mut recorded = 0;
    for encrypted in [true, false] {
        for mechanism in MECHANISMS {
            let topic = unique("sasl");
            kafka.create_topic(&topic, 1);
            let with = |run: Run| {
                with_password(run, kafka, encrypted, mechanism)
                    .var("KAFKA_TOPIC", &topic)
                    .var("KAFKA_SASL_PASSWORD", PASSWORD)
            };
            let probe = with(Run::probe())
                .var("SITES", website.url())
                .run()
                .exits(0);
            assert_eq!(
                last_line(&probe.stderr),
                "1 check: 1 up, 0 down",
                "{mechanism}"
            );
            let drain = with(prepared.drain()).run().exits(0);
            assert_eq!(last_line(&drain.stderr), "1 check recorded", "{mechanism}");
            // Not one warning: the group's offset was stored as well.
            assert_eq!(drain.stderr.lines().count(), 1, "{}", drain.stderr);
            recorded += 1;
        }
    }
    assert_eq!(prepared.count("select count(*) from checks"), recorded);
}

#[test]
fn passwords_of_every_kind_encrypted_or_not_on_3_9() {
    from_a_website_to_a_row(Version::V3_9);
}

#[test]
fn passwords_of_every_kind_encrypted_or_not_on_4_1() {
    from_a_website_to_a_row(Version::V4_1);
}

#[test]
fn a_wrong_password_is_one_line_that_names_it() {
    let kafka = shared::kafka(Version::V4_1);
    let prepared = Prepared::new("password");
    for (encrypted, mechanism, why) in [
        (
            true,
            "SCRAM-SHA-512",
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512",
        ),
        (
            false,
            "PLAIN",
            "Authentication failed: Invalid username or password",
        ),
    ] {
        let finished = with_password(prepared.drain(), kafka, encrypted, mechanism)
            .var("KAFKA_SASL_PASSWORD", "wrong-horse")
            .run();
        let broker = if encrypted {
            kafka.sasl_ssl_bootstrap()
        } else {
            kafka.sasl_bootstrap()
        };
        finished.exits(69).logs(&format!(
            "ERROR drain: Kafka at {broker} cannot be used: SASL authentication error: {why}; check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (exit code 69)\n"
        ));
    }
}

#[test]
fn a_broker_with_a_bad_certificate_is_one_line_that_names_it() {
    let prepared = Prepared::new("certificate");
    let authority = CertificateAuthority::new("ours");
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    for (kind, why) in [
        (Kind::Expired, "has expired; renew it"),
        (
            Kind::WrongHost,
            "is not for \"127.0.0.1\"; use a name from the certificate in KAFKA_BROKERS",
        ),
        (
            Kind::UnknownCa,
            "is not signed by a CA certificate in KAFKA_CA_FILE (unable to get local issuer certificate); name there the one that signed it",
        ),
    ] {
        let broker = tls_server(&authority, kind);
        prepared
            .drain()
            .var("KAFKA_BROKERS", &broker)
            .var("KAFKA_SECURITY_PROTOCOL", "SSL")
            .var("KAFKA_CA_FILE", &ca)
            .var("KAFKA_TIMEOUT", "5s")
            .run()
            .exits(69)
            .logs(&format!("ERROR drain: Kafka at {broker} cannot be used: the broker's certificate {why} (exit code 69)\n"));
    }
}

#[test]
fn every_codec_of_kafkas_own_client_is_read() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("codecs");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("codecs");
    let mut sent = Vec::new();
    for (number, codec) in (0..).zip(Codec::ALL) {
        let events: Vec<_> = (0..50)
            .map(|second| up(codec.name(), number * 100 + second))
            .collect();
        kafka
            .tool_run(
                "org.apache.kafka.tools.ConsoleProducer",
                &[
                    "--bootstrap-server",
                    &kafka.bootstrap(),
                    "--topic",
                    &topic,
                    "--compression-codec",
                    codec.name(),
                ],
            )
            .stdin(lines(&events))
            .run()
            .exits(0);
        sent.extend(
            events
                .iter()
                .map(|event| (event.site.to_string(), event.checked_at.as_microsecond())),
        );
    }
    prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .run()
        .exits(0);
    sent.sort();
    let stored: Vec<_> = prepared
        .checks()
        .into_iter()
        .map(|(site, at, _)| (site, at))
        .collect();
    assert_eq!(stored, sent);
}

#[test]
fn a_batch_damaged_on_disk_becomes_a_dead_letter_and_stops_nothing() {
    let kafka = shared::borrow_kafka(Version::V4_1);
    let topic = unique("damage");
    kafka.create_topic(&topic, 3);
    for partition in 0..3 {
        for batch in 0..4 {
            let messages: Vec<_> = (0..10)
                .map(|n| {
                    let mut event = up(&format!("p{partition}"), batch * 10 + n);
                    event.url = format!("https://p{partition}.example/batch-{batch}-{n}").into();
                    ("k", event.to_json())
                })
                .collect();
            kafka.produce(&topic, partition, &messages);
        }
    }
    kafka.stop();
    let log = kafka
        .data_dir()
        .join(format!("{topic}-1/00000000000000000000.log"));
    let mut bytes = fs::read(&log).unwrap();
    let text = b"batch-2-5";
    let at = bytes
        .windows(text.len())
        .position(|window| window == text)
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    kafka.start_again();

    let prepared = Prepared::new("damage");
    let drain = || {
        prepared
            .drain()
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("DRAIN_BATCH_SIZE", "7")
            .run()
            .exits(0)
    };
    let first = drain().stderr_has("partition 1").stderr_has("CRC");
    assert_eq!(
        last_line(&first.stderr),
        "110 checks recorded, 1 dead-lettered",
        "{:?}\n{first}",
        prepared.reasons()
    );
    assert_eq!(prepared.count("select count(*) from checks"), 110);
    assert_eq!(
        prepared.count("select next_offset from kafka_offsets where partition = 1"),
        40
    );
    // The batch by the offset of its first message.
    let reasons = prepared.reasons();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let reason = &reasons[&(Some(1), Some(20))];
    assert!(reason.contains("CRC"), "{reason}");
    drain();
    assert_eq!(prepared.count("select count(*) from dead_letters"), 1);
    assert_eq!(prepared.count("select count(*) from kafka_losses"), 0);
}

#[test]
fn further_settings_reach_the_client() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("options");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("options");
    let drain = |options: &str| {
        prepared
            .drain()
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("KAFKA_TIMEOUT", "1s")
            .var("KAFKA_OPTIONS", options)
            .timeout(Duration::from_secs(30))
            .run()
    };
    drain("fetch.min.bytes=1, broker.address.family=v4").exits(0);
    // The broker listens on IPv4 only: this one took effect.
    drain("broker.address.family=v6").exits(69);
    drain("no.such.setting=1")
        .exits(78)
        .logs(r#"ERROR drain: KAFKA_OPTIONS: librdkafka knows no no.such.setting; its CONFIGURATION.md lists what it knows (exit code 78)
"#);
}
