//! What librdkafka tells through callbacks: log lines, errors of connections, fates of messages.
//!
//! A failed call says "timed out" or "transport failure"; why is said here only, and only while
//! somebody polls.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedHeaders, DeliveryResult, Message as _, OwnedHeaders};
use rdkafka::producer::ProducerContext;

use crate::{Delivery, KafkaError, Undelivered, tls};

/// The log target of librdkafka's own lines.
pub(super) const LIBRDKAFKA_LOG: &str = "sitewatch::kafka::librdkafka";

/// For a peer that does not answer, or hangs up, before anything was said.
pub(super) const PROTOCOL_HINT: &str = "does KAFKA_SECURITY_PROTOCOL fit the port?";

/// The context given to every librdkafka client.
#[derive(Default)]
pub(super) struct Watcher {
    brokers: String,
    trouble: Mutex<Trouble>,
    deliveries: Mutex<Vec<Delivery>>,
    turned_away: Mutex<Vec<TurnedAway>>,
    /// How many callbacks there were; a poll that moves it may have left more behind.
    events: AtomicU64,
}

/// What a message on its way carries.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) id: u64,
    /// The time it asks for; `None`: none but that of sending.
    pub(super) timestamp_ms: Option<i64>,
}

/// A message that the broker did not take for its time, or for the time of another in its batch.
pub(super) struct TurnedAway {
    /// What it is sent again with.
    pub(super) ticket: Ticket,
    pub(super) headers: Option<OwnedHeaders>,
    pub(super) message: Box<Undelivered>,
}

/// What connections have complained about since the last success.
#[derive(Default)]
struct Trouble {
    /// TLS or authentication: trying again will not help. By broker.
    refusals: Vec<(String, String)>,
    /// Anything else; the last one stands.
    cause: Option<String>,
    all_down: bool,
}

impl Watcher {
    pub(super) fn new(brokers: String) -> Self {
        Self {
            brokers,
            ..Self::default()
        }
    }

    /// Polls until a poll runs no callback: one poll serves one event.
    pub(super) fn drain(&self, poll: impl Fn()) {
        loop {
            let before = self.events.load(Ordering::Relaxed);
            poll();
            if self.events.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    pub(super) fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.deliveries.lock())
    }

    /// The messages to be sent again.
    pub(super) fn take_turned_away(&self) -> Vec<TurnedAway> {
        std::mem::take(&mut *self.turned_away.lock())
    }

    /// Notes the fate of a message.
    pub(super) fn report(&self, id: u64, result: Result<(), Box<Undelivered>>) {
        self.deliveries.lock().push(Delivery { id, result });
    }

    /// Forgets complaints: something has worked since.
    pub(super) fn all_well(&self) {
        *self.trouble.lock() = Trouble::default();
    }

    pub(super) fn all_down(&self) -> bool {
        self.trouble.lock().all_down
    }

    /// The refusal, once `brokers` of them have refused us.
    pub(super) fn refusal(&self, brokers: usize) -> Option<KafkaError> {
        let trouble = self.trouble.lock();
        let (_, cause) = trouble.refusals.last()?;
        (trouble.refusals.len() >= brokers).then(|| KafkaError::Refused {
            brokers: self.brokers.clone(),
            cause: cause.clone(),
        })
    }

    /// Why nothing works: the refusal or the complaint, else `fallback`.
    pub(super) fn why(&self, fallback: &str) -> KafkaError {
        self.refusal(1).unwrap_or_else(|| KafkaError::Unreachable {
            brokers: self.brokers.clone(),
            cause: self
                .trouble
                .lock()
                .cause
                .clone()
                .unwrap_or_else(|| fallback.to_owned()),
        })
    }

    /// Why a partition cannot be read, from the code and what was said along with it.
    pub(super) fn partition_cause(&self, code: Code) -> String {
        let said = self
            .trouble
            .lock()
            .cause
            .take()
            .unwrap_or_else(|| code.to_string());
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => {
                format!("it has nothing at this offset ({said})")
            }
            Code::TopicAuthorizationFailed => "it does not let this user read the topic".to_owned(),
            _ => said,
        }
    }

    /// The error of a request, in our kinds.
    pub(super) fn request_error(&self, what: &'static str, error: &RdError) -> KafkaError {
        let Some(code) = error.rdkafka_error_code() else {
            return KafkaError::Failed {
                what,
                cause: error.to_string(),
            };
        };
        self.code_error(what, code)
    }

    pub(super) fn code_error(&self, what: &'static str, code: Code) -> KafkaError {
        match code {
            code if is_of_connection(code) || code == Code::WaitingForCoordinator => {
                self.why("no answer in time")
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => KafkaError::Refused {
                brokers: self.brokers.clone(),
                cause: format!("it does not let this user {what} ({code})"),
            },
            _ => KafkaError::Failed {
                what,
                cause: code.to_string(),
            },
        }
    }
}

impl ClientContext for Watcher {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.fetch_add(1, Ordering::Relaxed);
        log::debug!(target: LIBRDKAFKA_LOG, "{facility}: {message}");
    }

    fn error(&self, error: RdError, reason: &str) {
        self.events.fetch_add(1, Ordering::Relaxed);
        log::debug!(target: LIBRDKAFKA_LOG, "{error}: {reason}");
        let mut trouble = self.trouble.lock();
        let (broker, cause) = describe(reason);
        match error.rdkafka_error_code() {
            Some(Code::AllBrokersDown) => trouble.all_down = true,
            // A broker that does not want our certificate says so after the handshake, and
            // librdkafka takes it for a broken connection; now and then it does so with a broker's
            // certificate too, when the connection is gone before its code is asked for.
            code if matches!(code, Some(Code::SSL | Code::Authentication))
                || reason.contains("SSL alert")
                || reason.contains("certificate verify failed") =>
            {
                let cause = if reason.contains("SSL alert") {
                    tls::describe_alert(&cause)
                } else if code == Some(Code::Authentication) {
                    format!("{cause}; check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
                } else {
                    cause
                };
                if !trouble.refusals.iter().any(|(known, _)| *known == broker) {
                    trouble.refusals.push((broker, cause));
                }
            }
            _ => trouble.cause = Some(cause),
        }
    }
}

impl ConsumerContext for Watcher {}

impl ProducerContext for Watcher {
    /// Boxed, because the pointer that librdkafka carries has 32 bits on some machines.
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        self.events.fetch_add(1, Ordering::Relaxed);
        let Err((error, message)) = result else {
            self.report(ticket.id, Ok(()));
            return;
        };
        let undelivered = Box::new(Undelivered {
            reason: self.undelivered(error),
            key: message.key().unwrap_or_default().to_vec(),
            payload: message.payload().unwrap_or_default().to_vec(),
        });
        match again(error, *ticket) {
            None => self.report(ticket.id, Err(undelivered)),
            Some(ticket) => self.turned_away.lock().push(TurnedAway {
                ticket,
                headers: message.headers().map(BorrowedHeaders::detach),
                message: undelivered,
            }),
        }
    }
}

/// What a message is sent again with. Among those of a batch that the broker turns away, those whose
/// time it does not take lose it; the others were in their company. One that asks for no time is
/// turned away for another reason, and for good.
fn again(error: &RdError, ticket: Ticket) -> Option<Ticket> {
    match error.rdkafka_error_code()? {
        Code::InvalidDifferentRecord => Some(ticket),
        Code::InvalidTimestamp | Code::InvalidRecord if ticket.timestamp_ms.is_some() => {
            Some(Ticket {
                timestamp_ms: None,
                ..ticket
            })
        }
        _ => None,
    }
}

impl Watcher {
    fn undelivered(&self, error: &RdError) -> KafkaError {
        const WHAT: &str = "store the message";
        match error.rdkafka_error_code() {
            // Given up by us; what the connection complained about says more.
            Some(Code::PurgeQueue | Code::PurgeInflight | Code::MessageTimedOut) => {
                self.why("it was not acknowledged before the deadline")
            }
            Some(code) => self.code_error(WHAT, code),
            None => KafkaError::Failed {
                what: WHAT,
                cause: error.to_string(),
            },
        }
    }
}

/// Whether an error is one of connections, which come back by themselves if they come back at all.
pub(super) fn is_of_connection(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::SSL
            | Code::Authentication
    )
}

/// Splits librdkafka's reason into the broker it is about and a sentence for people:
/// `ssl://host:9093/bootstrap: SSL handshake failed: … (after 3ms in state SSL_HANDSHAKE)`.
fn describe(reason: &str) -> (String, String) {
    let (broker, text) = match reason.split_once(": ") {
        Some((name, rest)) if name.contains('/') && !name.contains(' ') => (name, rest),
        _ => ("", reason),
    };
    let (text, state) = text.rsplit_once(" (after ").unwrap_or((text, ""));
    let text = text
        .split(" (install ca-certificates")
        .next()
        .unwrap_or(text);
    // What it says of connecting repeats the address.
    let text = match text.split_once(" failed: ") {
        Some((connecting, why)) if connecting.starts_with("Connect to ip") => why,
        _ => text,
    };
    let mut text = text
        .replace("ssl.ca.location", "KAFKA_CA_FILE")
        .replace("security.protocol", "KAFKA_SECURITY_PROTOCOL")
        .replace("sasl.mechanism", "KAFKA_SASL_MECHANISM");
    let speechless = text.contains("Disconnected")
        && (state.contains("SSL_HANDSHAKE") || state.contains("APIVERSION_QUERY"));
    if speechless && !text.contains("KAFKA_SECURITY_PROTOCOL") {
        text = format!("{text} ({PROTOCOL_HINT})");
    }
    (broker.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_lose_what_only_librdkafka_understands() {
        for (reason, broker, text) in [
            (
                "localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "localhost:1/bootstrap",
                "Connection refused",
            ),
            (
                "sasl_ssl://b:9/1: SASL authentication error: Authentication failed (after 5ms in state AUTH_REQ)",
                "sasl_ssl://b:9/1",
                "SASL authentication error: Authentication failed",
            ),
            ("1/1 brokers are down", "", "1/1 brokers are down"),
            (
                "ssl://b:9/bootstrap: Disconnected: closed by peer (after 1ms in state SSL_HANDSHAKE)",
                "ssl://b:9/bootstrap",
                "Disconnected: closed by peer (does KAFKA_SECURITY_PROTOCOL fit the port?)",
            ),
            (
                "b:9/1: Disconnected (after 900ms in state UP)",
                "b:9/1",
                "Disconnected",
            ),
        ] {
            assert_eq!(describe(reason), (broker.to_owned(), text.to_owned()));
        }
    }
}
