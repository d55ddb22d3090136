//! Reading: what the pump asks of a source, and the topic as one.
//!
//! Standard input (`stdin.rs`) and dead letters (`replay.rs`) are sources of a single partition, 0,
//! whose offsets are numbers of lines and ids of dead letters.

use std::time::Duration;

use sitewatch::run::Failure;
use sitewatch_kafka::{self as kafka, KafkaError, Range};

/// Where messages come from.
pub(crate) trait Source {
    /// The next thing that is known, after waiting for up to `wait`; `None` when there was nothing.
    ///
    /// # Errors
    /// When nothing more can be read.
    fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, Failure>;

    /// Whether everything has been read that was to be.
    fn is_done(&self) -> bool;

    /// Reads these ranges, in place of whatever was being read. Only a source whose messages can be
    /// read again is asked to.
    ///
    /// # Errors
    /// When they cannot be read.
    fn assign(&mut self, _ranges: &[Range]) -> Result<(), Failure> {
        Ok(())
    }

    /// Reads nothing more of a partition.
    ///
    /// # Errors
    /// When the client does not comply; what still comes is of no use, and does no harm.
    fn finish(&mut self, _partition: i32) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether what is read and not recorded can be read by a later run.
    fn can_be_read_again(&self) -> bool {
        true
    }
}

/// What one poll found.
pub(crate) enum Polled<'a> {
    /// A message.
    Message(Message<'a>),
    /// A message that is known to be no event, and why.
    Invalid(Message<'a>, String),
    /// There is no message below this offset that was not read.
    Position { partition: i32, next: i64 },
    /// Offsets that cannot be read, however often they are asked for. They stay on the topic.
    Unreadable {
        partition: i32,
        from: i64,
        next: i64,
        cause: String,
    },
    /// The partition cannot be read on in this run.
    Failed { partition: i32, error: KafkaError },
}

/// A message, borrowed from its source.
pub(crate) enum Message<'a> {
    /// A record of the topic.
    Topic(kafka::Record<'a>),
    /// What has a place and a value, and nothing else.
    Value {
        partition: i32,
        offset: i64,
        value: Option<&'a [u8]>,
    },
}

/// A message's parts, headers aside.
pub(crate) struct Record<'a> {
    pub(crate) partition: i32,
    /// Offset in the partition.
    pub(crate) offset: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Milliseconds since 1970.
    pub(crate) timestamp_ms: Option<i64>,
}

impl Message<'_> {
    /// Its parts.
    pub(crate) fn record(&self) -> Record<'_> {
        match self {
            Self::Topic(record) => Record {
                partition: record.partition(),
                offset: record.offset(),
                key: record.key(),
                value: record.payload(),
                timestamp_ms: record.timestamp_ms(),
            },
            &Self::Value {
                partition,
                offset,
                value,
            } => Record {
                partition,
                offset,
                key: None,
                value,
                timestamp_ms: None,
            },
        }
    }

    /// Name and value of each header.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let headers = match self {
            Self::Topic(record) => Some(record.headers()),
            Self::Value { .. } => None,
        };
        headers.into_iter().flatten()
    }
}

impl Source for kafka::Reader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, Failure> {
        Ok(self.poll(wait)?.map(|polled| match polled {
            kafka::Polled::Record(record) => Polled::Message(Message::Topic(record)),
            kafka::Polled::Position { partition, next } => Polled::Position { partition, next },
            kafka::Polled::Unreadable {
                partition,
                from,
                next,
                cause,
            } => Polled::Unreadable {
                partition,
                from,
                next,
                cause,
            },
            kafka::Polled::Failed { partition, error } => Polled::Failed { partition, error },
        }))
    }

    fn is_done(&self) -> bool {
        self.is_done()
    }

    fn assign(&mut self, ranges: &[Range]) -> Result<(), Failure> {
        Ok(self.assign(ranges)?)
    }

    fn finish(&mut self, partition: i32) -> Result<(), Failure> {
        Ok(self.finish(partition)?)
    }
}
