//! Certificates and passwords, good and bad: each refusal says what is wrong, and no secret.

use std::{fs, io::Read, net::TcpListener, thread, time::Duration};

use openssl::{
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod},
    x509::X509,
};
use sitewatch_kafka::{Client, KafkaError, KafkaSettings, Mechanism, Protocol, Reader};
use sitewatch_tests::{
    certificates::{CertificateAuthority, Kind, Validity},
    kafka::{Kafka, PASSWORD, Version},
    shared,
};

use sitewatch_tests::wait::SOON;

use super::{all_delivered, mutual_tls, plain, produce, read_whole, refusal, sasl, within};

/// What a listener of another protocol costs: nothing tells it from one that is slow.
const SHORT: Duration = Duration::from_secs(6);
const BOTH: [Client; 2] = [Client::Rdkafka, Client::Kafka];

#[track_caller]
fn refused(settings: &KafkaSettings, cause: &str) {
    let error = refusal(settings);
    assert!(matches!(error, KafkaError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(cause), "{error}");
}

fn with_tls(client: Client, kafka: &Kafka) -> KafkaSettings {
    let settings = plain(client, &kafka.ssl_bootstrap(), "t");
    mutual_tls(within(settings, SOON), &kafka.certificate_dir())
}

#[test]
fn a_bad_certificate_of_the_broker_is_told_apart() {
    let authority = CertificateAuthority::new("Sitewatch tests");
    let directory = tempfile::tempdir().unwrap();
    authority.write_client_dir(directory.path()).unwrap();
    for (kind, cause) in [
        (Kind::Expired, "has expired"),
        (Kind::NotYetValid, "not valid yet"),
        (Kind::WrongHost, "not for \"127.0.0.1\""),
        (
            Kind::UnknownCa,
            "not signed by a CA certificate in KAFKA_CA_FILE",
        ),
        (
            Kind::SelfSigned,
            "not signed by a CA certificate in KAFKA_CA_FILE",
        ),
    ] {
        let broker = tls_server(&authority, kind);
        for client in BOTH {
            let settings = within(plain(client, &broker, "t"), SOON);
            refused(&mutual_tls(settings, directory.path()), cause);
        }
    }
}

/// Shakes hands with whoever comes, and says nothing more.
pub(crate) fn tls_server(authority: &CertificateAuthority, kind: Kind) -> String {
    let issued = authority.certificate(kind);
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    let chain = X509::stack_from_pem(issued.chain.as_bytes()).unwrap();
    acceptor.set_certificate(&chain[0]).unwrap();
    let key = PKey::private_key_from_pem(issued.key.as_bytes()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let acceptor = acceptor.clone();
            thread::spawn(move || {
                if let Ok(mut stream) = acceptor.accept(stream.unwrap()) {
                    stream.read_to_end(&mut Vec::new()).ok();
                }
            });
        }
    });
    address
}

#[test]
fn the_wrong_ca_is_refused_by_a_real_broker_too() {
    for client in BOTH {
        let kafka = shared::kafka(Version::V3_9);
        let directory = tempfile::tempdir().unwrap();
        let wrong = directory.path().join("ca.pem");
        fs::write(&wrong, CertificateAuthority::new("another").pem()).unwrap();
        let mut settings = with_tls(client, kafka);
        settings.security.ca_file = Some(wrong);
        refused(&settings, "KAFKA_CA_FILE");
    }
}

#[test]
fn a_missing_or_bad_certificate_of_ours_is_refused() {
    for client in BOTH {
        let kafka = shared::kafka(Version::V3_9);
        let mut settings = with_tls(client, kafka);
        settings.security.cert_file = None;
        settings.security.key_file = None;
        refused(&settings, "KAFKA_CERT_FILE");

        let directory = tempfile::tempdir().unwrap();
        let expired = kafka.authority().client("late", Validity::expired());
        let unknown = CertificateAuthority::new("another").client("stranger", Validity::days(1));
        for issued in [expired, unknown] {
            let (cert, key) = (directory.path().join("cert"), directory.path().join("key"));
            fs::write(&cert, issued.chain).unwrap();
            fs::write(&key, issued.key).unwrap();
            let mut settings = with_tls(client, kafka);
            settings.security.cert_file = Some(cert);
            settings.security.key_file = Some(key);
            refused(&settings, "KAFKA_CERT_FILE");
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_variable() {
    for client in BOTH {
        let kafka = shared::kafka(Version::V3_9);
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("text");
        fs::write(&text, "not PEM").unwrap();
        let another = kafka.authority().client("another", Validity::days(1));
        let key = directory.path().join("another.key");
        fs::write(&key, another.key).unwrap();
        let configuration = |settings: &KafkaSettings, words: &str| {
            let error = refusal(settings);
            assert!(
                matches!(error, KafkaError::Configuration { .. }),
                "{error:?}"
            );
            assert!(error.to_string().contains(words), "{error}");
        };

        let mut settings = with_tls(client, kafka);
        settings.security.ca_file = Some("/no/such/ca.pem".into());
        configuration(
            &settings,
            "KAFKA_CA_FILE: cannot read /no/such/ca.pem: No such file",
        );
        settings.security.ca_file = Some(text.clone());
        configuration(&settings, "KAFKA_CA_FILE");
        let mut settings = with_tls(client, kafka);
        settings.security.cert_file = Some(text.clone());
        configuration(&settings, "KAFKA_CERT_FILE");
        let mut settings = with_tls(client, kafka);
        settings.security.key_file = Some(text);
        configuration(&settings, "KAFKA_KEY_FILE");
        let mut settings = with_tls(client, kafka);
        settings.security.key_file = Some(key);
        configuration(&settings, "KAFKA_KEY_FILE");
    }
}

#[test]
fn a_listener_of_another_protocol_leads_to_the_setting() {
    for client in BOTH {
        let kafka = shared::kafka(Version::V3_9);
        let plain_to_tls = within(plain(client, &kafka.ssl_bootstrap(), "t"), SHORT);
        let error = refusal(&plain_to_tls);
        assert!(
            error.to_string().contains("KAFKA_SECURITY_PROTOCOL"),
            "{error}"
        );

        let mut tls_to_plain = within(with_tls(client, kafka), SHORT);
        tls_to_plain.brokers = vec![kafka.bootstrap()];
        let error = refusal(&tls_to_plain);
        assert!(
            error.to_string().contains("KAFKA_SECURITY_PROTOCOL"),
            "{error}"
        );
    }
}

#[test]
fn every_mechanism_works_encrypted_or_not() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        for mechanism in [
            Mechanism::Plain,
            Mechanism::ScramSha256,
            Mechanism::ScramSha512,
        ] {
            let topic = format!("sasl-{mechanism:?}-{version:?}");
            kafka.create_topic(&topic, 1);
            let open = plain(Client::Rdkafka, &kafka.sasl_bootstrap(), &topic);
            all_delivered(
                &produce(&sasl(open, mechanism, PASSWORD), &[b"one".to_vec()]),
                1,
            );

            let mut closed = plain(Client::Rdkafka, &kafka.sasl_ssl_bootstrap(), &topic);
            closed.security.protocol = Protocol::SaslSsl;
            closed.security.ca_file = Some(kafka.certificate_dir().join("ca.pem"));
            let closed = sasl(closed, mechanism, PASSWORD);
            assert_eq!(read_whole(&closed).texts(0), ["one"]);
            let mut reader = Reader::connect(&closed).unwrap();
            reader.commit(&[(0, 1)]).unwrap();
        }
    }
}

#[test]
fn a_wrong_password_is_a_refusal_that_does_not_repeat_it() {
    let kafka = shared::kafka(Version::V4_1);
    for mechanism in [
        Mechanism::Plain,
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
    ] {
        let settings = within(plain(Client::Rdkafka, &kafka.sasl_bootstrap(), "t"), SOON);
        let settings = sasl(settings, mechanism, "wrong-horse");
        refused(&settings, "uthentication failed");
        assert!(!refusal(&settings).to_string().contains("wrong-horse"));
    }
}

#[test]
fn the_old_client_says_what_it_cannot_do() {
    let kafka = shared::kafka(Version::V3_9);
    let settings = plain(Client::Kafka, &kafka.sasl_bootstrap(), "t");
    let error = refusal(&sasl(settings, Mechanism::Plain, PASSWORD));
    assert!(
        matches!(error, KafkaError::Configuration { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("KAFKA_CLIENT=rdkafka"),
        "{error}"
    );

    let mut settings = plain(Client::Kafka, &kafka.bootstrap(), "t");
    settings.options = vec![("linger.ms".to_owned(), "3".to_owned())];
    let error = refusal(&settings);
    assert!(error.to_string().contains("KAFKA_OPTIONS"), "{error}");
}

#[test]
fn options_that_librdkafka_or_we_refuse_are_named() {
    let kafka = shared::kafka(Version::V4_1);
    for (name, value, words) in [
        ("no.such.option", "1", "no.such.option"),
        ("linger.ms", "never", "linger.ms"),
        ("ssl.key.pem", "hunter2", "librdkafka"),
        ("group.id", "x", "KAFKA_GROUP_ID"),
        ("acks", "0", "acks"),
        ("check.crcs", "false", "check.crcs"),
    ] {
        let mut settings = within(plain(Client::Rdkafka, &kafka.bootstrap(), "t"), SHORT);
        settings.options = vec![(name.to_owned(), value.to_owned())];
        if name == "ssl.key.pem" {
            settings.security.protocol = Protocol::Ssl;
        }
        let error = refusal(&settings);
        assert!(
            matches!(error, KafkaError::Configuration { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
