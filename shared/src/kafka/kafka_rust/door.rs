//! A connection of our own to a broker, bounded in time at every step.
//!
//! The `kafka` crate connects without a time limit, waits 120 s for an answer, and reports a broker
//! that has dropped its protocol as a connection that closed. So we knock first: connect, shake
//! hands, and ask which versions are spoken.

use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use openssl::ssl::SslConnector;

use crate::kafka::dial;
use crate::kafka::tls::{self, Failure};
use crate::kafka::{KafkaError, KafkaSettings};

/// Between two rounds over all brokers while none can be reached.
const PAUSE: Duration = Duration::from_millis(100);

/// No broker's list of versions comes near this; a peer that is no broker may claim anything.
const LONGEST_ANSWER: usize = 64 * 1024;

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
pub(super) fn knock(
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
            match knock_at(broker, settings, connector, until) {
                Ok(()) => open.push(broker.clone()),
                Err(Closed::Final(error)) => refusals.push(error),
                Err(Closed::Broken(cause)) if settings.brokers.len() == 1 => last = cause,
                Err(Closed::Broken(cause)) => last = format!("{broker}: {cause}"),
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
        thread::sleep(PAUSE.min(left));
    }
}

/// Why one broker cannot be used.
enum Closed {
    /// Trying again will not help.
    Final(KafkaError),
    Broken(String),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Broken(
                "no answer in time (does KAFKA_SECURITY_PROTOCOL fit the port?)".to_owned(),
            ),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Self::Broken(
                "it closed the connection without an answer \
                 (does KAFKA_SECURITY_PROTOCOL fit the port?)"
                    .to_owned(),
            ),
            _ => Self::Broken(error.to_string()),
        }
    }
}

fn knock_at(
    broker: &str,
    settings: &KafkaSettings,
    connector: Option<&SslConnector>,
    until: Instant,
) -> Result<(), Closed> {
    let stream = dial::connect(broker, until)?;
    let answer = match connector {
        None => versions(stream, &settings.client_id)?,
        Some(connector) => {
            let refused = |cause| {
                Closed::Final(KafkaError::Refused {
                    brokers: broker.to_owned(),
                    cause,
                })
            };
            let stream =
                tls::handshake(connector, dial::host(broker), stream).map_err(|failure| {
                    match failure {
                        Failure::Refused(cause) => refused(cause),
                        Failure::Broken(cause) => Closed::Broken(cause),
                        Failure::Silent => {
                            Closed::Broken("no answer to the TLS handshake".to_owned())
                        }
                    }
                })?;
            // With TLS 1.3 a broker refuses our certificate after the handshake.
            versions(stream, &settings.client_id).map_err(|error| {
                let text = error.to_string();
                if text.contains("alert") {
                    refused(tls::alert_words(&text))
                } else {
                    Closed::from(error)
                }
            })?
        }
    };
    let too_new = SPOKEN.iter().any(|(key, version)| {
        !answer
            .iter()
            .any(|(k, min, max)| k == key && (min..=max).contains(&version))
    });
    if too_new {
        return Err(Closed::Final(KafkaError::TooNew {
            broker: broker.to_owned(),
        }));
    }
    Ok(())
}

/// Asks for the versions of every request: API key, lowest, highest.
fn versions(mut stream: impl Read + Write, client_id: &str) -> io::Result<Vec<(i16, i16, i16)>> {
    let id = client_id.as_bytes();
    let id_len = i16::try_from(id.len()).unwrap_or(0);
    let id = if id_len == 0 { &[][..] } else { id };
    let mut request = Vec::with_capacity(14 + id.len());
    request.extend((10 + i32::from(id_len)).to_be_bytes());
    request.extend(18_i16.to_be_bytes()); // ApiVersions
    request.extend(0_i16.to_be_bytes()); // version 0, which every broker since 0.10 answers
    request.extend(1_i32.to_be_bytes()); // correlation
    request.extend(id_len.to_be_bytes());
    request.extend(id);
    stream.write_all(&request)?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_ANSWER {
        let text = "it does not answer as Kafka does; check the port and KAFKA_SECURITY_PROTOCOL";
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(parse_versions(&answer))
}

/// Correlation, error, count, then six bytes for each request.
fn parse_versions(answer: &[u8]) -> Vec<(i16, i16, i16)> {
    let ranges = answer.get(10..).unwrap_or_default();
    ranges
        .chunks_exact(6)
        .map(|range| {
            let number = |at: usize| i16::from_be_bytes([range[at], range[at + 1]]);
            (number(0), number(2), number(4))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_threes_and_a_short_answer_holds_none() {
        let mut answer = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 2];
        answer.extend([0, 0, 0, 3, 0, 11, 0, 1, 0, 4, 0, 17]);

        assert_eq!(parse_versions(&answer), [(0, 3, 11), (1, 4, 17)]);
        assert!(parse_versions(&answer[..9]).is_empty());
    }
}
