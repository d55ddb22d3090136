//! Opening a client of the `kafka` crate, and its errors in our kinds.

use std::io::ErrorKind;
use std::time::Duration;

use kafka::Error;
use kafka::client::{GroupOffsetStorage, KafkaClient, SecurityConfig};
use kafka::error::KafkaCode;
use openssl::ssl::SslConnector;

use super::preflight;
use super::worker::Worker;
use crate::{KafkaError, KafkaSettings, tls};

/// Checks what this client cannot do, and reads the certificates.
pub(super) fn prepare(settings: &KafkaSettings) -> Result<Option<SslConnector>, KafkaError> {
    let unable = |what: &str| {
        Err(KafkaError::Configuration {
            what: what.to_owned(),
        })
    };
    if settings.security.protocol.uses_sasl() {
        return unable("KAFKA_CLIENT=kafka knows no SASL; set KAFKA_CLIENT=rdkafka");
    }
    if !settings.options.is_empty() {
        return unable(
            "KAFKA_OPTIONS are settings of librdkafka; unset them or set KAFKA_CLIENT=rdkafka",
        );
    }
    match settings.security.protocol.uses_tls() {
        true => tls::connector(&settings.security).map(Some),
        false => Ok(None),
    }
}

/// Opens a client on a thread of its own.
pub(super) fn start(
    settings: &KafkaSettings,
    connector: Option<&SslConnector>,
) -> Result<Worker, KafkaError> {
    let (owned, connector) = (settings.clone(), connector.cloned());
    // The preflight keeps to the time limit by itself and knows the cause better than a clock does.
    let grace = settings.connect_timeout + Duration::from_millis(200);
    Worker::start(
        move || open(&owned, connector.as_ref()),
        grace,
        || KafkaError::Unreachable {
            brokers: settings.broker_list(),
            cause: preflight::NO_ANSWER.to_owned(),
        },
    )
}

/// Finds a broker, and the topic there. May take longer than it should: run it on a worker.
pub(super) fn open(
    settings: &KafkaSettings,
    connector: Option<&SslConnector>,
) -> Result<KafkaClient, KafkaError> {
    let brokers = preflight::check_brokers(settings, connector)?;
    let mut client = match connector {
        Some(connector) => KafkaClient::new_secure(brokers, SecurityConfig::new(connector.clone())),
        None => KafkaClient::new(brokers),
    };
    client.set_client_id(settings.client_id.clone());
    client.set_group_offset_storage(Some(GroupOffsetStorage::Kafka));
    client.set_fetch_min_bytes(1);
    client.set_fetch_crc_validation(true);
    client
        .set_fetch_max_wait_time(Duration::from_millis(100))
        .map_err(|error| failed("be set up", &error, settings))?;
    // Past the last attempt the crate asks again without a pause, for ever; our own time limit
    // comes long before this many.
    client.set_retry_max_attempts(u32::MAX);
    // Naming a topic here would create it.
    client
        .load_metadata_all()
        .map_err(|error| failed("list its topics", &error, settings))?;
    if !client.topics().contains(&settings.topic) {
        return Err(KafkaError::UnknownTopic {
            topic: settings.topic.clone(),
        });
    }
    Ok(client)
}

/// An error of the crate, of a whole request.
pub(super) fn failed(what: &'static str, error: &Error, settings: &KafkaSettings) -> KafkaError {
    let unreachable = |cause: String| KafkaError::Unreachable {
        brokers: settings.broker_list(),
        cause,
    };
    match error {
        Error::Io(io) => match io.kind() {
            ErrorKind::UnexpectedEof => unreachable("it closed the connection".to_owned()),
            _ => unreachable(io.to_string()),
        },
        Error::Ssl(ssl) => unreachable(ssl.to_string()),
        Error::NoHostReachable => unreachable("no broker could be connected to".to_owned()),
        Error::Kafka(code) => code_failed(what, *code, settings),
        other => KafkaError::Failed {
            what,
            cause: other.to_string(),
        },
    }
}

pub(super) fn code_failed(
    what: &'static str,
    code: KafkaCode,
    settings: &KafkaSettings,
) -> KafkaError {
    match code {
        KafkaCode::TopicAuthorizationFailed
        | KafkaCode::GroupAuthorizationFailed
        | KafkaCode::ClusterAuthorizationFailed => KafkaError::Refused {
            brokers: settings.broker_list(),
            cause: format!("it does not let this client {what} ({code:?})"),
        },
        KafkaCode::UnknownTopicOrPartition => KafkaError::UnknownTopic {
            topic: settings.topic.clone(),
        },
        KafkaCode::MessageSizeTooLarge => KafkaError::Failed {
            what,
            cause: "the message is larger than the broker or the topic allows".to_owned(),
        },
        code => KafkaError::Failed {
            what,
            cause: format!("it answered {code:?}"),
        },
    }
}

/// Whether the connection is lost, and with it the client: it never recovers by itself.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::Ssl(_) | Error::NoHostReachable)
}

/// Whether the broker may answer otherwise once it has settled who leads.
pub(super) fn is_passing(code: KafkaCode) -> bool {
    matches!(
        code,
        KafkaCode::LeaderNotAvailable
            | KafkaCode::NotLeaderForPartition
            | KafkaCode::RequestTimedOut
            | KafkaCode::BrokerNotAvailable
            | KafkaCode::ReplicaNotAvailable
            | KafkaCode::NetworkException
            | KafkaCode::NotEnoughReplicas
            | KafkaCode::NotEnoughReplicasAfterAppend
    )
}
