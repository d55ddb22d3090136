//! Bytes of a stranger → `CheckEvent`, or the reason why not.
//!
//! Kafka topics are written by whoever may write to them. What passes here is known to fit the
//! tables: lengths, ranges and characters are checked before a row is near the database.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use thiserror::Error;

use super::{CheckEvent, Outcome, VERSION};
use crate::words::{is_blank, is_obeyed, shortened};

/// Longest event, in bytes of JSON: Kafka's own default limit of a message. The longest that the
/// fields' own limits allow is about 350 KB, escapes included; the rest is room for fields of later
/// releases.
pub const MAX_EVENT: usize = 1 << 20;
/// Longest site name, in characters; `websites.name` has the same limit.
pub const MAX_NAME: usize = 200;
/// PostgreSQL's times begin in 4713 BC, ours in 9999 BC; nothing of this is older than the year 1.
pub const EARLIEST: Timestamp = Timestamp::constant(-62_135_596_800, 0);
/// The most characters of evidence: what a site may have captured of a body, and a head.
pub const MAX_EVIDENCE: usize = 72 * 1024;
/// How far a check may be from the slot that it was made for: no site is checked less than once a year.
const MAX_LATE: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Longest URL, in bytes; `websites.url` has the same limit.
pub const MAX_URL: usize = 8_192;
/// Longest location, in characters.
pub const MAX_LOCATION: usize = 100;
/// Longest error text, in characters.
pub const MAX_ERROR: usize = 500;
/// Longest version of HTTP or TLS, in characters.
pub const MAX_VERSION: usize = 20;
/// Most labels on an event.
pub const MAX_LABELS: usize = 64;
/// Longest label name or value, in characters.
pub const MAX_LABEL: usize = 200;

/// Why a message is not an event that can be recorded. The text says what was found and is what
/// `dead_letters.reason` holds.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The message has no value (a tombstone).
    #[error("the message has no value")]
    Empty,
    /// The value is longer than an event can be.
    #[error("{0} bytes, and an event has at most {MAX_EVENT}")]
    TooLong(usize),
    /// The value is not UTF-8.
    #[error("not UTF-8 from byte {0}")]
    NotUtf8(usize),
    /// The value is not JSON, or JSON of another shape.
    #[error("not a check event: {0}")]
    Shape(String),
    /// The event is of a version that this release does not read.
    #[error(
        "event version {0}; this release reads version {VERSION}: upgrade drain, then run it with DRAIN_REPLAY_DEAD_LETTERS=true"
    )]
    Version(u64),
    /// A field holds what cannot be true or cannot be stored.
    #[error("{field}: {problem}")]
    Field {
        /// The field's name in the JSON.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Read first, alone: an event of a later version may have another shape altogether.
#[derive(Deserialize)]
struct VersionOnly {
    v: u64,
}

impl<'a> CheckEvent<'a> {
    /// Reads an event from a message's value.
    ///
    /// # Errors
    /// When the bytes are not an event that can be recorded; see [`DecodeError`].
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        if value.is_empty() {
            return Err(DecodeError::Empty);
        }
        if value.len() > MAX_EVENT {
            return Err(DecodeError::TooLong(value.len()));
        }
        // serde would also take a list of the fields' values in order, which is not the format.
        if value
            .trim_ascii_start()
            .first()
            .is_some_and(|byte| *byte == b'[')
        {
            return Err(DecodeError::Shape("a list, not an object".to_owned()));
        }
        // Once for the whole message, rather than for each text in it.
        let text =
            str::from_utf8(value).map_err(|error| DecodeError::NotUtf8(error.valid_up_to()))?;
        let event: Self = match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) => return Err(why(text, &error)),
        };
        event.validate()?;
        Ok(event)
    }

    fn validate(&self) -> Result<(), DecodeError> {
        if self.v != VERSION {
            return Err(DecodeError::Version(u64::from(self.v)));
        }
        self.validate_texts()?;
        self.validate_times()?;
        self.validate_verdict()?;
        self.validate_numbers()?;
        if self.labels.len() > MAX_LABELS {
            return Err(field(
                "labels",
                format!("{} labels, at most {MAX_LABELS}", self.labels.len()),
            ));
        }
        for (name, value) in &self.labels {
            text("labels", name, 1, MAX_LABEL)?;
            text("labels", value, 0, MAX_LABEL)?;
        }
        Ok(())
    }

    fn validate_texts(&self) -> Result<(), DecodeError> {
        text("site", &self.site, 1, MAX_NAME)?;
        visible("site", &self.site)?;
        if self.url.len() > MAX_URL {
            return Err(field(
                "url",
                format!("{} bytes, at most {MAX_URL}", self.url.len()),
            ));
        }
        text("url", &self.url, 1, MAX_URL)?;
        text("location", &self.location, 1, MAX_LOCATION)?;
        visible("location", &self.location)?;
        if let Some(error) = &self.error {
            text("error", error, 0, MAX_ERROR)?;
        }
        for (name, value, most) in [
            ("certificate_issuer", &self.certificate_issuer, MAX_ERROR),
            ("certificate_error", &self.certificate_error, MAX_ERROR),
            ("chain_subject", &self.chain_subject, MAX_ERROR),
            ("chain_host", &self.chain_host, MAX_ERROR),
            ("http_version", &self.http_version, MAX_VERSION),
            ("tls_version", &self.tls_version, MAX_VERSION),
            ("clock", &self.clock, MAX_VERSION),
            ("final_url", &self.final_url, MAX_URL),
            ("first_error", &self.first_error, MAX_ERROR),
        ] {
            if let Some(value) = value {
                text(name, value, 0, most)?;
            }
        }
        if let Some(evidence) = &self.evidence {
            // It has lines, and nothing else that would be obeyed.
            for line in evidence.split('\n') {
                text("evidence", line, 0, MAX_EVIDENCE)?;
            }
            if evidence.chars().count() > MAX_EVIDENCE {
                let problem = format!("more than {MAX_EVIDENCE} characters");
                return Err(field("evidence", problem));
            }
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<(), DecodeError> {
        for (name, time) in [
            ("checked_at", Some(self.checked_at)),
            ("scheduled_at", self.scheduled_at),
            ("certificate_not_after", self.certificate_not_after),
            ("chain_not_after", self.chain_not_after),
        ] {
            if time.is_some_and(|time| time < EARLIEST) {
                return Err(field(name, "before the year 1".to_owned()));
            }
        }
        if let Some(scheduled_at) = self.scheduled_at
            && self.checked_at.duration_since(scheduled_at).abs() > MAX_LATE
        {
            return Err(field(
                "scheduled_at",
                format!("{scheduled_at}, more than a year from checked_at"),
            ));
        }
        Ok(())
    }

    fn validate_verdict(&self) -> Result<(), DecodeError> {
        if self.up != self.outcome.verdict().as_up() {
            return Err(field(
                "up",
                format!(
                    "{:?} does not go with outcome \"{}\"",
                    self.up,
                    self.outcome.word()
                ),
            ));
        }
        if self.outcome == Outcome::Up && self.error.is_some() {
            return Err(field(
                "error",
                "set although the outcome is \"up\"".to_owned(),
            ));
        }
        Ok(())
    }

    fn validate_numbers(&self) -> Result<(), DecodeError> {
        if let Some(status) = self.status
            && !(100..=999).contains(&status)
        {
            return Err(field("status", format!("{status} is no HTTP status")));
        }
        for (name, duration) in [
            ("dns_us", self.dns_us),
            ("connect_us", self.connect_us),
            ("tls_us", self.tls_us),
            ("first_byte_us", self.first_byte_us),
            ("body_us", self.body_us),
            ("total_us", Some(self.total_us)),
            ("local_wait_us", self.local_wait_us),
        ] {
            // The tables hold microseconds in four signed bytes: 35 minutes, far above any timeout.
            if duration.is_some_and(|duration| i32::try_from(duration).is_err()) {
                return Err(field(name, "longer than 35 minutes".to_owned()));
            }
        }
        if self
            .body_bytes
            .is_some_and(|bytes| i32::try_from(bytes).is_err())
        {
            return Err(field("body_bytes", "2 GiB or more".to_owned()));
        }
        if i16::try_from(self.redirects).is_err() || i16::try_from(self.attempts).is_err() {
            return Err(field(
                "redirects",
                "redirects or attempts out of range".to_owned(),
            ));
        }
        Ok(())
    }
}

fn field(field: &'static str, problem: String) -> DecodeError {
    DecodeError::Field { field, problem }
}

fn text(name: &'static str, value: &str, least: usize, most: usize) -> Result<(), DecodeError> {
    // Bytes first: counting characters is only needed in the rare case between the two limits.
    if value.len() > most {
        let characters = value.chars().count();
        if characters > most {
            return Err(field(
                name,
                format!("{characters} characters, at most {most}"),
            ));
        }
    }
    if value.len() < least {
        return Err(field(name, "empty".to_owned()));
    }
    // To the end, found or not: without a way out it takes many bytes at a time.
    let has_control = value
        .bytes()
        .fold(false, |found, byte| found | (byte < 0x20) | (byte == 0x7f));
    if has_control {
        return Err(field(name, "contains a control character".to_owned()));
    }
    Ok(())
}

/// A name of which nothing is to be seen names nothing.
fn visible(name: &'static str, value: &str) -> Result<(), DecodeError> {
    if is_blank(value) {
        return Err(field(name, "nothing of it can be seen".to_owned()));
    }
    Ok(())
}

/// The most useful sentence for bytes that did not parse.
fn why(value: &str, error: &serde_json::Error) -> DecodeError {
    if let Ok(VersionOnly { v }) = serde_json::from_str(value)
        && v != u64::from(VERSION)
    {
        return DecodeError::Version(v);
    }
    // The text quotes what was found, which a stranger wrote: of any length, with any character.
    let shown = error.to_string().replace(is_obeyed, "\u{fffd}");
    DecodeError::Shape(shortened(&shown, MAX_ERROR).into_owned())
}
