//! A connection of our own to a broker, bounded in time at every step.
//!
//! The `kafka` crate connects without a time limit, waits 120 s for an answer, and reports a broker
//! that has dropped its protocol as a connection that closed. So a preflight comes first:
//! connect, shake hands, and ask which versions are spoken (ApiVersions).

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

use openssl::ssl::SslConnector;

use super::wire::{Request, Stream, Wire};
use crate::dial;
use crate::tls::{self, TlsError};
use crate::{KafkaError, KafkaSettings};

/// Between two rounds over all brokers while none can be reached.
const BACKOFF: Duration = Duration::from_millis(100);

/// Why a broker that said nothing cannot be used.
pub(super) const NO_ANSWER: &str = "no answer in time (does KAFKA_SECURITY_PROTOCOL fit the port?)";

/// The least that a step may take, so that an overrun deadline does not become no limit at all.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// No broker's list of versions comes near this; a peer that is no broker may claim anything.
const MAX_ANSWER: u64 = 64 * 1024;

/// What the `kafka` crate sends: API key and version.
const SPOKEN: [(i16, i16); 7] = [
    (0, 0),  // Produce
    (1, 0),  // Fetch
    (2, 0),  // ListOffsets
    (3, 0),  // Metadata
    (8, 1),  // OffsetCommit
    (9, 1),  // OffsetFetch
    (10, 0), // FindCoordinator
];

/// Returns the brokers that speak what the `kafka` crate speaks, as soon as there is one; asks
/// again until the time is up.
pub(super) fn check_brokers(
    settings: &KafkaSettings,
    connector: Option<&SslConnector>,
) -> Result<Vec<String>, KafkaError> {
    let deadline = Instant::now() + settings.connect_timeout;
    loop {
        let mut open = Vec::new();
        let mut refusals = Vec::new();
        let mut last = String::from("no broker is named");
        let mut fair_share = u32::try_from(settings.brokers.len()).unwrap_or(u32::MAX);
        for broker in &settings.brokers {
            // One silent broker must not use up the time of the others.
            let left = deadline.saturating_duration_since(Instant::now());
            let until = Instant::now() + left / fair_share.max(1);
            fair_share -= 1;
            match check_broker(broker, settings, connector, until) {
                Ok(()) => open.push(broker.clone()),
                Err(ConnectError::Final(error)) => refusals.push(error),
                Err(ConnectError::Broken(cause)) if settings.brokers.len() == 1 => last = cause,
                Err(ConnectError::Broken(cause)) => last = format!("{broker}: {cause}"),
            }
        }
        if !open.is_empty() {
            return Ok(open);
        }
        if refusals.len() == settings.brokers.len()
            && let Some(refusal) = refusals.pop()
        {
            return Err(refusal);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(refusals.pop().unwrap_or_else(|| KafkaError::Unreachable {
                brokers: settings.broker_list(),
                cause: last,
            }));
        }
        thread::sleep(BACKOFF.min(left));
    }
}

/// Why one broker cannot be used.
pub(super) enum ConnectError {
    /// Trying again will not help.
    Final(KafkaError),
    Broken(String),
}

impl ConnectError {
    pub(super) fn into_cause(self) -> String {
        match self {
            Self::Final(error) => error.to_string(),
            Self::Broken(cause) => cause,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Broken(NO_ANSWER.to_owned()),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Self::Broken(
                "it closed the connection without an answer \
                 (does KAFKA_SECURITY_PROTOCOL fit the port?)"
                    .to_owned(),
            ),
            _ => Self::Broken(error.to_string()),
        }
    }
}

fn check_broker(
    broker: &str,
    settings: &KafkaSettings,
    connector: Option<&SslConnector>,
    until: Instant,
) -> Result<(), ConnectError> {
    let stream = open(broker, connector, until)?;
    let left = until.saturating_duration_since(Instant::now());
    let mut wire = Wire::new(stream, &settings.client_id, left.max(MIN_TIMEOUT))?;
    // With TLS 1.3 a broker refuses our certificate after the handshake.
    let answer = versions(&mut wire).map_err(|error| {
        let text = error.to_string();
        match connector {
            Some(_) if text.contains("alert") => refused(broker, tls::describe_alert(&text)),
            _ => ConnectError::from(error),
        }
    })?;
    let too_new = SPOKEN.iter().any(|(key, version)| {
        !answer
            .iter()
            .any(|(k, min, max)| k == key && (min..=max).contains(&version))
    });
    if too_new {
        return Err(ConnectError::Final(KafkaError::TooNew {
            broker: broker.to_owned(),
        }));
    }
    Ok(())
}

/// Connects, with TLS where there is a connector.
pub(super) fn open(
    broker: &str,
    connector: Option<&SslConnector>,
    until: Instant,
) -> Result<Stream, ConnectError> {
    let stream = dial::connect(broker, until)?;
    let Some(connector) = connector else {
        return Ok(Stream::Plain(stream));
    };
    tls::handshake(connector, dial::host(broker), stream)
        .map(Stream::Tls)
        .map_err(|error| match error {
            TlsError::Refused(cause) => refused(broker, cause),
            TlsError::Broken(cause) => ConnectError::Broken(cause),
            TlsError::Silent => ConnectError::Broken(
                "no answer to the TLS handshake (does KAFKA_SECURITY_PROTOCOL fit the port?)"
                    .to_owned(),
            ),
        })
}

fn refused(broker: &str, cause: String) -> ConnectError {
    ConnectError::Final(KafkaError::Refused {
        brokers: broker.to_owned(),
        cause,
    })
}

/// Asks for the versions of every request: API key, lowest, highest.
pub(super) fn versions(wire: &mut Wire) -> io::Result<Vec<(i16, i16, i16)>> {
    let request = Request {
        key: 18,    // ApiVersions
        version: 0, // which every broker since 0.10 answers
        flexible: false,
        body: Vec::new(),
    };
    wire.ask(&request, |answer| {
        if answer.left() > MAX_ANSWER {
            let text =
                "it does not answer as Kafka does; check the port and KAFKA_SECURITY_PROTOCOL";
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        answer.skip(2)?; // error
        let mut versions = Vec::new();
        for _ in 0..answer.i32()? {
            versions.push((answer.i16()?, answer.i16()?, answer.i16()?));
        }
        Ok(versions)
    })
}
