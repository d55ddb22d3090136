//! Certificates and passwords, right and wrong, towards Kafka and PostgreSQL.

use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::postgres::{Postgres, Tls};
use sitewatch_tests::shared;

use crate::support::{Prepared, last_line, lines, unique, up};

fn over_mutual_tls(version: Version, client: &str) {
    let kafka = shared::kafka(version);
    let topic = unique("tls");
    kafka.create_topic(&topic, 1);
    let prepared = Prepared::new("tls");
    // Above 16 KiB in all: what the pure-Rust client trips over when nobody holds its hand.
    let events: Vec<_> = (0..100).map(|second| up("a", second)).collect();
    let messages: Vec<_> = events.iter().map(|event| ("a", event.to_json())).collect();
    kafka.produce(&topic, 0, &messages);
    let drain = || {
        prepared
            .drain()
            .var("KAFKA_ENDPOINT", kafka.ssl_bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("KAFKA_CLIENT", client)
    };
    let finished = drain()
        .var("KAFKA_CERT_DIR", kafka.certificate_dir())
        .run()
        .exits(0);
    assert_eq!(last_line(&finished.stderr), "100 checks recorded");

    let stranger = tempfile::tempdir().unwrap();
    CertificateAuthority::new("stranger")
        .write_client_dir(stranger.path())
        .unwrap();
    drain()
        .var("KAFKA_CERT_DIR", stranger.path())
        .var("KAFKA_TIMEOUT", "5s")
        .run()
        .exits(69)
        .logs(&format!("ERROR drain: Kafka at {} cannot be used: the broker's certificate is not signed by a CA certificate in KAFKA_CA_FILE (unable to get local issuer certificate); name there the one that signed it (exit code 69)\n", kafka.ssl_bootstrap()));
}

#[test]
fn kafka_3_9_over_mutual_tls_by_rdkafka() {
    over_mutual_tls(Version::V3_9, "rdkafka");
}

#[test]
fn kafka_3_9_over_mutual_tls_by_the_pure_rust_client() {
    over_mutual_tls(Version::V3_9, "kafka");
}

#[test]
fn kafka_4_1_over_mutual_tls_by_rdkafka() {
    over_mutual_tls(Version::V4_1, "rdkafka");
}

#[test]
fn the_pure_rust_client_says_that_kafka_4_is_too_new() {
    let kafka = shared::kafka(Version::V4_1);
    let prepared = Prepared::new("new");
    prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_CLIENT", "kafka")
        .run()
        .exits(69)
        .logs(&format!("ERROR drain: Kafka at {} is too new for KAFKA_CLIENT=kafka, which speaks to brokers up to 3.9; set KAFKA_CLIENT=rdkafka (exit code 69)\n", kafka.bootstrap()));
}

#[test]
fn certificates_that_cannot_be_read_are_a_wrong_configuration() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), "hello").unwrap();
    std::fs::write(
        directory.path().join("service.cert"),
        "-----BEGIN CERTIFICATE-----",
    )
    .unwrap();
    let name = directory.path().display();
    Run::drain()
        .var("KAFKA_BROKERS", "k:1")
        .var("DATABASE_URL", "postgres://u@h/d")
        .var("KAFKA_CERT_DIR", directory.path())
        .run()
        .exits(78)
        .logs(&format!(r#"ERROR drain: 2 problems in the configuration
  KAFKA_CA_FILE is "{name}/ca.pem", which holds no PEM block (-----BEGIN …)
  KAFKA_KEY_FILE is not set although "{name}/service.cert" is there: a certificate and its key go together
ERROR drain: see `drain --help` for every variable it reads (exit code 78)
"#));
}

#[test]
fn postgresql_over_tls_as_libpq_does_it() {
    let authority = CertificateAuthority::new("ours");
    let server = Postgres::start(Some(&authority));
    let prepared = Prepared::on(&server, "pgtls");
    let directory = tempfile::tempdir().unwrap();
    let ours = directory.path().join("ca.pem");
    std::fs::write(&ours, authority.pem()).unwrap();
    let strangers = directory.path().join("stranger.pem");
    std::fs::write(&strangers, CertificateAuthority::new("stranger").pem()).unwrap();
    let drain = |mode: &str| {
        prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .var("PGSSLMODE", mode)
            .stdin(lines(&[up("a", 60)]))
    };
    for mode in ["disable", "prefer", "require"] {
        drain(mode).run().exits(0);
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        drain(mode).var("PGSSLROOTCERT", &ours).run().exits(0);
        // libpq too verifies with `require` once it is given a CA certificate.
        drain(mode)
            .var("PGSSLROOTCERT", &strangers)
            .run()
            .exits(69)
            .logs(&format!("ERROR drain: no TLS with PostgreSQL at 127.0.0.1:{}: certificate verify failed (self-signed certificate in certificate chain); check DATABASE_SSLMODE and DATABASE_CA_FILE (exit code 69)\n", server.port()));
    }
}

#[test]
fn postgresql_with_a_certificate_of_another_host_or_without_tls() {
    let authority = CertificateAuthority::new("ours");
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let elsewhere = Postgres::options()
        .tls_with(
            &authority,
            authority.certificate(Kind::WrongHost),
            Tls::Offered,
        )
        .start();
    let drain = |server: &Postgres, mode: &str| {
        Run::drain()
            .var("DRAIN_SOURCE", "stdin")
            .var("DATABASE_URL", server.url())
            .var("DATABASE_SSLMODE", mode)
            .var("DATABASE_CA_FILE", &ca)
            .run()
    };
    // Past the handshake: the next thing it meets is an empty database.
    drain(&elsewhere, "verify-ca")
        .exits(78)
        .logs("ERROR drain: the database's schema is empty; run `setup` first (exit code 78)\n");
    drain(&elsewhere, "verify-full")
        .exits(69)
        .logs(&format!("ERROR drain: no TLS with PostgreSQL at 127.0.0.1:{}: certificate verify failed (IP address mismatch); check DATABASE_SSLMODE and DATABASE_CA_FILE (exit code 69)\n", elsewhere.port()));
    let without = Postgres::start(None);
    drain(&without, "require")
        .exits(69)
        .logs(&format!("ERROR drain: PostgreSQL at 127.0.0.1:{} offers no TLS, which sslmode=require demands; turn it on there or set DATABASE_SSLMODE=prefer (exit code 69)\n", without.port()));
}
