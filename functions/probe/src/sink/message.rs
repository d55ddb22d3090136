//! A result as a message that others read too: the time of the check as its time, and around it the
//! attributes of CloudEvents 1.0, as its Kafka binding has them in binary mode.

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sitewatch::event::{CheckEvent, SCHEMA, TYPE};
use sitewatch_kafka::{KafkaError, Producer};
use uuid::Uuid;

/// What a segment of a URI's path may have as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The oldest check whose time its message has. Kafka deletes by that time: what waited longer in a
/// spool could be gone before anybody has read it.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// A result on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) site: String,
    pub(super) payload: Vec<u8>,
    id: Uuid,
    checked_at: Timestamp,
    location: String,
    /// Whether the run's journal has it.
    pub(super) kept: bool,
}

impl Message {
    /// `payload` is the event as JSON.
    pub(super) fn new(event: &CheckEvent<'_>, payload: Vec<u8>, kept: bool) -> Self {
        Self {
            site: event.site.clone().into_owned(),
            payload,
            id: event.id,
            checked_at: event.checked_at,
            location: event.location.clone().into_owned(),
            kept,
        }
    }

    /// Hands it to the producer, under this number.
    ///
    /// # Errors
    /// When the producer does not take it.
    pub(super) fn send(&self, number: u64, producer: &mut Producer) -> Result<(), KafkaError> {
        let mut id = Uuid::encode_buffer();
        // Relative, for want of a name of the operator's own to begin with.
        let location = utf8_percent_encode(&self.location, &UNRESERVED);
        let source = format!("/sitewatch/probe/{location}");
        let time = format!("{:.6}", self.checked_at);
        let headers = [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_id", self.id.hyphenated().encode_lower(&mut id)),
            ("ce_source", &source),
            ("ce_type", TYPE),
            ("ce_subject", &self.site),
            ("ce_time", &time),
            ("ce_dataschema", SCHEMA),
        ]
        .map(|(name, value)| (name, value.as_bytes()));
        let message = sitewatch_kafka::Message {
            key: self.site.as_bytes(),
            payload: &self.payload,
            timestamp_ms: timestamp_ms(self.checked_at, Timestamp::now()),
            headers: &headers,
        };
        producer.send(number, &message)
    }
}

/// `None`: the time of sending. A time ahead of ours is a clock's that was wrong, and would keep what
/// is around the message beyond its retention.
fn timestamp_ms(checked_at: Timestamp, now: Timestamp) -> Option<i64> {
    let age = now.duration_since(checked_at);
    let believed = SignedDuration::ZERO..=OLDEST;
    believed.contains(&age).then(|| checked_at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_checks_unless_kafka_would_delete_too_soon_or_too_late_by_it() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (checked_at, expected) in [
            ("2026-11-21T11:59:59.123987Z", Some(1_795_262_399_123)),
            ("2026-11-21T12:00:00Z", Some(1_795_262_400_000)),
            ("2026-11-20T12:00:00Z", Some(1_795_176_000_000)),
            ("2026-11-20T11:59:59Z", None),
            ("2026-11-21T12:00:00.000001Z", None),
        ] {
            let checked_at = checked_at.parse().unwrap();
            assert_eq!(timestamp_ms(checked_at, now), expected, "{checked_at}");
        }
    }
}
