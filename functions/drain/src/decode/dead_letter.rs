//! A message that cannot be recorded, as it came.

use jiff::Timestamp;
use sitewatch::event::{EARLIEST, MAX_EVENT};

use crate::read::{Message, Record};

/// What is kept of a dead letter's key. Of its value as much as an event can have is kept: what is
/// longer can never be recorded, so nothing that a later replay could use is lost.
const MAX_KEY: usize = 64 << 10;

/// What is kept of a dead letter's headers: names and values together, and [`HEADER_BYTES`] each.
const MAX_HEADERS: usize = 64 << 10;
const HEADER_BYTES: usize = 16;

/// A message that cannot be recorded, and why.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    pub(crate) offset: i64,
    pub(crate) key: Option<Box<[u8]>>,
    pub(crate) value: Option<Box<[u8]>>,
    /// A JSON list of [name, value in hexadecimal or null].
    pub(crate) headers: String,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) reason: String,
}

impl DeadLetter {
    /// The message, as far as it is kept.
    pub(crate) fn of(message: &Message<'_>, reason: String) -> Self {
        Self::new(&message.record(), message.headers(), reason)
    }

    /// One for offsets that cannot be read. They stay on the topic, and are read again from there
    /// with `DRAIN_START=earliest`.
    pub(crate) fn unreadable(from: i64, next: i64, cause: &str) -> Self {
        Self {
            offset: from,
            key: None,
            value: None,
            headers: "[]".to_owned(),
            timestamp: None,
            reason: format!(
                "offsets {from} to {} cannot be read; they stay on the topic: {cause}",
                next - 1
            ),
        }
    }

    fn new<'h>(
        record: &Record<'_>,
        headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
        mut reason: String,
    ) -> Self {
        let key = cut(record.key, MAX_KEY, "key", &mut reason);
        let value = cut(record.value, MAX_EVENT, "value", &mut reason);
        Self {
            offset: record.offset,
            key,
            value,
            headers: headers_as_json(headers, &mut reason),
            timestamp: record
                .timestamp_ms
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                // The sender chooses it, and PostgreSQL refuses what is before its calendar.
                .filter(|time| *time >= EARLIEST),
            reason,
        }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.key.as_ref().map_or(0, |key| key.len())
            + self.value.as_ref().map_or(0, |value| value.len())
            + self.headers.len()
            + self.reason.len()
    }
}

/// The first bytes, as many as are kept; that there were more is added to the reason.
fn cut(bytes: Option<&[u8]>, most: usize, what: &str, reason: &mut String) -> Option<Box<[u8]>> {
    let bytes = bytes?;
    if bytes.len() > most {
        reason.push_str(&format!(
            "; of its {what}'s {} bytes the first {most} are kept",
            bytes.len()
        ));
    }
    Some(bytes[..bytes.len().min(most)].into())
}

fn headers_as_json<'h>(
    headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
    reason: &mut String,
) -> String {
    let mut list = Vec::new();
    let mut length = 0;
    for (name, value) in headers {
        length += name.len() + value.map_or(0, <[u8]>::len) + HEADER_BYTES;
        if length > MAX_HEADERS {
            reason.push_str(&format!(
                "; of its headers the first {} are kept",
                list.len()
            ));
            break;
        }
        list.push((name, value.map(hexadecimal)));
    }
    // jsonb cannot hold NUL, which a header's name may.
    serde_json::to_string(&list)
        .unwrap_or_else(|_| "[]".to_owned())
        .replace("\\u0000", "\\ufffd")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(timestamp_ms: i64) -> Record<'static> {
        Record {
            partition: 0,
            offset: 7,
            key: None,
            value: Some(b"no event"),
            timestamp_ms: Some(timestamp_ms),
        }
    }

    #[test]
    fn headers_are_kept_as_far_as_jsonb_can_hold_them() {
        let headers = [("h\0", Some(&b"\x01\xff"[..])), ("n", None)];
        let dead_letter = DeadLetter::new(&record(1_000), headers.into_iter(), String::new());
        assert_eq!(dead_letter.headers, r#"[["h\ufffd","01ff"],["n",null]]"#);
    }

    #[test]
    fn a_messages_own_time_that_postgresql_does_not_have_is_none() {
        let time = |timestamp_ms| {
            DeadLetter::new(&record(timestamp_ms), std::iter::empty(), String::new()).timestamp
        };
        // The year -7536.
        assert_eq!(time(-300_000_000_000_000), None);
        assert_eq!(time(i64::MIN), None);
        assert_eq!(time(-62_135_596_800_001), None);
        assert_eq!(time(-62_135_596_800_000), Some(EARLIEST));
        assert_eq!(time(0), Some(Timestamp::UNIX_EPOCH));
    }
}
