//! Our settings in librdkafka's names, with the reason for each value.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use log::{Level, log_enabled};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as RdError;
use secrecy::ExposeSecret;

use super::watcher::LIBRDKAFKA_LOG;
use crate::{KafkaError, KafkaSettings, Mechanism, Protocol, tls};

/// Options that `KAFKA_OPTIONS` must not touch, and what would break.
const RESERVED: [(&str, &str); 13] = [
    ("bootstrap.servers", "it is KAFKA_BROKERS"),
    ("metadata.broker.list", "it is KAFKA_BROKERS"),
    ("client.id", "it is KAFKA_CLIENT_ID"),
    ("group.id", "it is KAFKA_GROUP_ID"),
    (
        "delivery.report.only.error",
        "every message's fate must be known",
    ),
    (
        "allow.auto.create.topics",
        "topics are created by `setup` only",
    ),
    (
        "enable.auto.commit",
        "offsets are committed after the rows are stored",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed after the rows are stored",
    ),
    (
        "enable.partition.eof",
        "the end of a partition is recognised by it",
    ),
    (
        "auto.offset.reset",
        "messages would be skipped without an error",
    ),
    (
        "check.crcs",
        "corrupt messages would be taken for good ones",
    ),
    (
        "isolation.level",
        "messages of aborted transactions would be taken for good ones",
    ),
    // A follower that lags reports the end of a partition early.
    (
        "client.rack",
        "the end of a partition could not be recognised",
    ),
];

/// A producer's configuration.
pub(super) fn producer(settings: &KafkaSettings) -> Result<ClientConfig, KafkaError> {
    let mut config = common(settings)?;
    config
        .set("acks", "all")
        // The partitioner of Kafka's Java clients, so that a key keeps its partition whichever
        // client or language writes it.
        .set("partitioner", "murmur2_random")
        // Long enough for the messages of one scheduling instant to share a request, short enough
        // not to show in the life of a process with a single message.
        .set("linger.ms", "1")
        // Measured as fast as lz4 and zstd, and of the three the only one that the `kafka` client
        // reads as well.
        .set("compression.codec", "snappy")
        // What a broker accepts is the broker's to say; batches stay below `batch.size` anyway.
        .set("message.max.bytes", "10000000")
        .set("queue.buffering.max.kbytes", "32768");
    apply_options(&mut config, settings)?;
    Ok(config)
}

/// A consumer's configuration.
pub(super) fn consumer(settings: &KafkaSettings) -> Result<ClientConfig, KafkaError> {
    let timeout = settings.connect_timeout;
    let mut config = common(settings)?;
    config
        .set("group.id", &settings.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // A batch that fails its checksum, and an offset that retention has removed, are errors:
        // with any other reset policy librdkafka goes on at another offset and says nothing.
        .set("check.crcs", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        // Compressed bytes of each partition in one answer; unpacked they are several times as many,
        // all of them in memory at once. A larger batch still comes whole.
        .set("fetch.message.max.bytes", "262144")
        // A full queue stops the fetcher for the backoff; a second, as it comes, stalls the reader.
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.queue.backoff.ms", "2")
        // After a batch that cannot be read: there is no use in waiting half a second for it.
        .set("fetch.error.backoff.ms", "20")
        // One fetch is under way at a time. One that waits at the end of a partition that is read
        // to its end holds up those that are to be read next.
        .set("fetch.wait.max.ms", "5")
        // Bounds a deferred commit while the group has no coordinator; the group is never joined.
        .set("session.timeout.ms", milliseconds(timeout, 1000, 3_600_000))
        .set("max.poll.interval.ms", "86400000");
    apply_options(&mut config, settings)?;
    Ok(config)
}

fn common(settings: &KafkaSettings) -> Result<ClientConfig, KafkaError> {
    let timeout = settings.connect_timeout;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.broker_list())
        .set("client.id", &settings.client_id)
        .set(
            "security.protocol",
            protocol_name(settings.security.protocol),
        )
        .set("allow.auto.create.topics", "false")
        // As it comes, the connection is made on first use, which a timer notices 50 ms late.
        .set("enable.sparse.connections", "false")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.nagle.disable", "true")
        .set(
            "socket.connection.setup.timeout.ms",
            milliseconds(timeout, 1000, 60_000),
        )
        // Longer than `fetch.wait.max.ms`, or idle fetches time out.
        .set("socket.timeout.ms", milliseconds(timeout, 2000, 300_000))
        .set("log.connection.close", "false");
    if settings.security.protocol.uses_tls() {
        tls(&mut config, settings)?;
    }
    if settings.security.protocol.uses_sasl() {
        sasl(&mut config, settings)?;
    }
    config.set_log_level(if log_enabled!(target: LIBRDKAFKA_LOG, Level::Debug) {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Emerg
    });
    Ok(config)
}

fn tls(config: &mut ClientConfig, settings: &KafkaSettings) -> Result<(), KafkaError> {
    let security = &settings.security;
    for (option, variable, file) in [
        ("ssl.ca.location", "KAFKA_CA_FILE", &security.ca_file),
        (
            "ssl.certificate.location",
            "KAFKA_CERT_FILE",
            &security.cert_file,
        ),
        ("ssl.key.location", "KAFKA_KEY_FILE", &security.key_file),
    ] {
        if let Some(path) = file {
            config.set(option, readable(variable, path)?);
        }
    }
    Ok(())
}

/// Opens the file to see that it can be read: librdkafka's own message says neither which variable
/// names it nor why it failed.
fn readable<'a>(variable: &str, path: &'a Path) -> Result<&'a str, KafkaError> {
    File::open(path).map_err(|error| KafkaError::Configuration {
        what: format!("{variable}: cannot read {}: {error}", path.display()),
    })?;
    path.to_str().ok_or_else(|| KafkaError::Configuration {
        what: format!("{variable}: {} is not UTF-8", path.display()),
    })
}

fn sasl(config: &mut ClientConfig, settings: &KafkaSettings) -> Result<(), KafkaError> {
    let Some(sasl) = &settings.security.sasl else {
        return Err(KafkaError::Configuration {
            what: "KAFKA_SECURITY_PROTOCOL asks for SASL; set KAFKA_SASL_MECHANISM, \
                   KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
                .into(),
        });
    };
    config
        .set(
            "sasl.mechanism",
            match sasl.mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
            },
        )
        .set("sasl.username", &sasl.username)
        .set("sasl.password", sasl.password.expose_secret());
    Ok(())
}

fn apply_options(config: &mut ClientConfig, settings: &KafkaSettings) -> Result<(), KafkaError> {
    for (name, value) in &settings.options {
        let refuse = |why: &str| {
            Err(KafkaError::Configuration {
                what: format!("KAFKA_OPTIONS: {name} cannot be set: {why}"),
            })
        };
        if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
            return refuse(why);
        }
        if matches!(name.as_str(), "acks" | "request.required.acks") && value == "0" {
            return refuse("without acknowledgements, lost messages count as delivered");
        }
        config.set(name, value);
    }
    Ok(())
}

/// What creating a client said, as a configuration error. The text of librdkafka repeats the value,
/// which is left out where it may be a secret.
pub(super) fn rejected(error: &RdError, settings: &KafkaSettings) -> KafkaError {
    if settings.security.protocol.uses_tls()
        && let Err(precise) = tls::connector(&settings.security)
    {
        return precise;
    }
    let what = match error {
        RdError::ClientConfig(_, description, name, _) => {
            let secret = ["password", "secret", "pem", "token", "config"]
                .iter()
                .any(|part| name.contains(part));
            if secret {
                format!("KAFKA_OPTIONS: librdkafka does not accept the value of {name}")
            } else if description.contains("No such configuration property") {
                format!(
                    "KAFKA_OPTIONS: librdkafka knows no {name}; its CONFIGURATION.md lists what it knows"
                )
            } else {
                format!("KAFKA_OPTIONS: {name}: {}", description.trim())
            }
        }
        RdError::ClientCreation(description) => {
            format!(
                "librdkafka cannot work with these settings: {}",
                description.trim()
            )
        }
        other => format!("librdkafka cannot be started: {other}"),
    };
    KafkaError::Configuration { what }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Plaintext => "plaintext",
        Protocol::Ssl => "ssl",
        Protocol::SaslPlaintext => "sasl_plaintext",
        Protocol::SaslSsl => "sasl_ssl",
    }
}

/// The duration within what librdkafka accepts for the property.
fn milliseconds(duration: Duration, least: u64, most: u64) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(most);
    millis.clamp(least, most).to_string()
}
