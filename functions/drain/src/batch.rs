//! What one transaction writes.

use jiff::Timestamp;
use sitewatch::event::{CheckEvent, DecodeError, EARLIEST, MAX_EVENT};

use crate::row::{Known, Row};

/// Where a record came from, to say so in `dead_letters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A partition of the topic.
    Partition(i32),
    /// Standard input.
    Stdin,
}

/// A Kafka record, or a line, as it came.
pub(crate) struct Record<'a> {
    /// Offset in the partition, or number of the line.
    pub(crate) offset: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Milliseconds since 1970.
    pub(crate) timestamp_ms: Option<i64>,
}

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

/// Consecutive messages of one partition (or of standard input), decoded.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) origin: Origin,
    /// The offset it begins at: what `kafka_offsets` must hold for it to be written.
    pub(crate) from: i64,
    /// The offset after it.
    pub(crate) next: i64,
    pub(crate) rows: Vec<Row>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// The message behind each row, kept only where PostgreSQL has refused one: then the refused
    /// one must be found and kept as it came.
    pub(crate) originals: Option<Vec<DeadLetter>>,
    /// About how much memory rows and dead letters take.
    bytes: usize,
}

/// Memory of the batches being filled, all together, at which one is written although it could
/// hold more messages.
pub(crate) const MAX_BUFFERED: usize = 8 << 20;

/// What is kept of a dead letter's key. Of its value as much as an event can have is kept: what is
/// longer can never be recorded, so nothing that a later replay could use is lost.
const MAX_KEY: usize = 64 << 10;

/// What is kept of a dead letter's headers: names and values together, and [`HEADER_BYTES`] each.
const MAX_HEADERS: usize = 64 << 10;
const HEADER_BYTES: usize = 16;

/// Memory that a row takes, beside its texts.
pub(crate) const ROW_BYTES: usize = size_of::<Row>();

impl Batch {
    /// An empty batch that begins at `from`.
    pub(crate) fn starting_at(origin: Origin, from: i64) -> Self {
        Self {
            origin,
            from,
            next: from,
            rows: Vec::new(),
            dead_letters: Vec::new(),
            originals: None,
            bytes: 0,
        }
    }

    /// The same, keeping the message behind each row.
    pub(crate) fn with_originals(self) -> Self {
        Self {
            originals: Some(Vec::new()),
            ..self
        }
    }

    /// Makes room for this many rows: growing by doubling would hold half as much again for a while.
    pub(crate) fn expect(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
    }

    /// Adds a record: a row if it is an event, a dead letter if it is not.
    pub(crate) fn add<'h>(
        &mut self,
        record: &Record<'_>,
        known: &mut Known,
        headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) {
        let decoded = match record.value {
            Some(value) => CheckEvent::decode(value),
            None => Err(DecodeError::Empty),
        };
        let decoded = decoded
            .map_err(|error| error.to_string())
            .and_then(|event| match known.doubt(&event) {
                None => Ok(event),
                Some(doubt) => Err(doubt),
            });
        match decoded {
            Ok(event) => {
                let (row, bytes) = known.row(event);
                self.bytes += bytes;
                self.rows.push(row);
                if let Some(originals) = &mut self.originals {
                    let original = record.to_owned(String::new(), headers);
                    self.bytes += original.bytes();
                    originals.push(original);
                }
            }
            Err(reason) => self.record_dead_letter(record, reason, headers),
        }
        self.next = record.offset + 1;
    }

    /// Adds a record as a dead letter.
    pub(crate) fn record_dead_letter<'h>(
        &mut self,
        record: &Record<'_>,
        reason: String,
        headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) {
        let dead_letter = record.to_owned(reason, headers);
        self.bytes += dead_letter.bytes();
        self.dead_letters.push(dead_letter);
        self.next = record.offset + 1;
    }

    /// Adds a dead letter for offsets that cannot be read. They stay on the topic, and are read again
    /// from there with `DRAIN_START=earliest`.
    pub(crate) fn pass_over(&mut self, from: i64, next: i64, cause: &str) {
        let dead_letter = DeadLetter {
            offset: from,
            key: None,
            value: None,
            headers: "[]".to_owned(),
            timestamp: None,
            reason: format!(
                "offsets {from} to {} cannot be read; they stay on the topic: {cause}",
                next - 1
            ),
        };
        self.bytes += dead_letter.bytes();
        self.dead_letters.push(dead_letter);
        self.next = next;
    }

    /// Messages in it.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.dead_letters.len()
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether writing it would change nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.next == self.from
    }

    /// Takes the batch out, leaving an empty one that begins where it ends.
    pub(crate) fn take(&mut self) -> Self {
        let mut following = Self::starting_at(self.origin, self.next);
        // The next is mostly as large.
        following.expect(self.rows.len());
        if self.originals.is_some() {
            following = following.with_originals();
        }
        std::mem::replace(self, following)
    }
}

impl DeadLetter {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.key.as_ref().map_or(0, |key| key.len())
            + self.value.as_ref().map_or(0, |value| value.len())
            + self.headers.len()
            + self.reason.len()
    }
}

impl Record<'_> {
    fn to_owned<'h>(
        &self,
        mut reason: String,
        headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) -> DeadLetter {
        let key = cut(self.key, MAX_KEY, "key", &mut reason);
        let value = cut(self.value, MAX_EVENT, "value", &mut reason);
        DeadLetter {
            offset: self.offset,
            key,
            value,
            headers: headers_as_json(headers, &mut reason),
            timestamp: self
                .timestamp_ms
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                // The sender chooses it, and PostgreSQL refuses what is before its calendar.
                .filter(|time| *time >= EARLIEST),
            reason,
        }
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
    use crate::window::Window;

    #[test]
    fn a_batch_moves_on_past_rows_dead_letters_and_holes() {
        let mut known = Known::new(Window::ours());
        let mut batch = Batch::starting_at(Origin::Partition(0), 5);
        assert!(batch.is_idle());
        batch.add(
            &Record {
                offset: 7,
                key: None,
                value: Some(b"no event"),
                timestamp_ms: Some(1_000),
            },
            &mut known,
            [("h\0", Some(&b"\x01\xff"[..])), ("n", None)].into_iter(),
        );
        assert_eq!((batch.from, batch.next, batch.len()), (5, 8, 1));
        assert_eq!(
            batch.dead_letters[0].headers,
            r#"[["h\ufffd","01ff"],["n",null]]"#
        );

        let taken = batch.take();
        assert_eq!((taken.from, taken.next), (5, 8));
        assert_eq!((batch.from, batch.next, batch.bytes()), (8, 8, 0));
    }

    #[test]
    fn a_messages_own_time_that_postgresql_does_not_have_is_none() {
        let time = |timestamp_ms| {
            let mut batch = Batch::starting_at(Origin::Partition(0), 0);
            batch.record_dead_letter(
                &Record {
                    offset: 0,
                    key: None,
                    value: None,
                    timestamp_ms: Some(timestamp_ms),
                },
                String::new(),
                std::iter::empty(),
            );
            batch.dead_letters[0].timestamp
        };
        // The year -7536.
        assert_eq!(time(-300_000_000_000_000), None);
        assert_eq!(time(i64::MIN), None);
        assert_eq!(time(-62_135_596_800_001), None);
        assert_eq!(time(-62_135_596_800_000), Some(EARLIEST));
        assert_eq!(time(0), Some(Timestamp::UNIX_EPOCH));
    }
}
