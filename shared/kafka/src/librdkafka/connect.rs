//! Finding a broker that answers and has the topic.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::types::RDKafkaRespErr;

use super::watcher::{PROTOCOL_HINT, Watcher};
use crate::tls::{self, TlsError};
use crate::{KafkaError, KafkaSettings, LOG, dial};

/// How long the first metadata request may block, so that a refusal is noticed between two of them;
/// each further one may take twice as long, so that a slow broker still gets to answer.
const FIRST_TIMEOUT: Duration = Duration::from_millis(200);

/// Between two requests that failed at once.
const BACKOFF: Duration = Duration::from_millis(10);

/// How long finding out more about an error may take.
const DIAGNOSIS: Duration = Duration::from_secs(1);

/// Asks for the topic until a broker answers, every broker refuses us or the time is up. Returns
/// the topic's partitions in order.
///
/// `serve` polls the client, so that its callbacks run.
pub(super) fn find_topic(
    client: &Client<Watcher>,
    settings: &KafkaSettings,
    serve: impl Fn(),
) -> Result<Vec<i32>, KafkaError> {
    let watcher = client.context();
    let topic = &settings.topic;
    let deadline = Instant::now() + settings.connect_timeout;
    let mut timeout = FIRST_TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fallback = format!("no answer in time ({PROTOCOL_HINT})");
        match client.fetch_metadata(Some(topic), timeout.min(left)) {
            Ok(metadata) => {
                let found = metadata.topics().iter().find(|found| found.name() == topic);
                match found.and_then(|found| found.error()) {
                    None if found.is_some_and(|found| !found.partitions().is_empty()) => {
                        watcher.all_well();
                        let mut partitions: Vec<i32> = found
                            .into_iter()
                            .flat_map(|found| found.partitions())
                            .map(|partition| partition.id())
                            .collect();
                        partitions.sort_unstable();
                        return Ok(partitions);
                    }
                    None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => {
                        return Err(KafkaError::UnknownTopic {
                            topic: topic.clone(),
                        });
                    }
                    Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) => {
                        return Err(KafkaError::Configuration {
                            what: format!("KAFKA_TOPIC: Kafka takes no topic named \"{topic}\""),
                        });
                    }
                    // A topic that was made a moment ago has no leaders yet.
                    Some(error) => match watcher.code_error("look up the topic", error.into()) {
                        KafkaError::Failed { cause, .. } => fallback = cause,
                        error => return Err(error),
                    },
                }
            }
            Err(error) => {
                if let Some(code) = error.rdkafka_error_code()
                    && !matches!(code, Code::BrokerTransportFailure | Code::OperationTimedOut)
                {
                    fallback = code.to_string();
                }
            }
        }
        watcher.drain(&serve);
        if let Some(refusal) = watcher.refusal(settings.brokers.len()) {
            return Err(precisely(refusal, settings));
        }
        if left.is_zero() {
            return Err(precisely(watcher.why(&fallback), settings));
        }
        timeout *= 2;
        thread::sleep(BACKOFF.min(left));
    }
}

/// Replaces what librdkafka says of every certificate it does not like by what is wrong with it.
fn precisely(error: KafkaError, settings: &KafkaSettings) -> KafkaError {
    match error {
        KafkaError::Refused { brokers, cause } if cause.contains("certificate verify failed") => {
            KafkaError::Refused {
                brokers,
                cause: diagnose(settings).unwrap_or(cause),
            }
        }
        error => error,
    }
}

/// Shakes hands with each broker in turn, to tell what is wrong with a certificate: librdkafka says
/// the same of one that has expired, that is for another host or that nobody known has signed.
fn diagnose(settings: &KafkaSettings) -> Option<String> {
    let connector = tls::connector(&settings.security).ok()?;
    settings.brokers.iter().find_map(|broker| {
        let stream = dial::connect(broker, Instant::now() + DIAGNOSIS).ok()?;
        match tls::handshake(&connector, dial::host(broker), stream) {
            Err(TlsError::Refused(cause)) => Some(cause),
            Err(TlsError::Broken(cause)) => {
                log::debug!(target: LOG, "{broker}: a handshake to learn more broke: {cause}");
                None
            }
            Err(TlsError::Silent) | Ok(_) => None,
        }
    })
}
