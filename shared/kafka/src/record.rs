//! One record, whichever client has read it.

use std::fmt;

/// A record, borrowed from the client's memory.
pub struct Record<'a>(pub(super) ClientRecord<'a>);

/// The record as each client holds it. In place and not behind a trait: there is one for each
/// message, and an allocation would be too.
pub(super) enum ClientRecord<'a> {
    #[cfg(feature = "client-rdkafka")]
    Rdkafka(super::librdkafka::Record<'a>),
    #[cfg(feature = "client-kafka")]
    Kafka(super::kafka_rust::Record<'a>),
}

macro_rules! each_client {
    ($self:ident, $record:ident => $call:expr) => {
        match &$self.0 {
            #[cfg(feature = "client-rdkafka")]
            ClientRecord::Rdkafka($record) => $call,
            #[cfg(feature = "client-kafka")]
            ClientRecord::Kafka($record) => $call,
        }
    };
}

impl Record<'_> {
    /// The partition it was read from.
    #[must_use]
    pub fn partition(&self) -> i32 {
        each_client!(self, record => record.partition())
    }

    /// Its offset there.
    #[must_use]
    pub fn offset(&self) -> i64 {
        each_client!(self, record => record.offset())
    }

    /// The key; the `kafka` client cannot tell an empty key from none.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        each_client!(self, record => record.key())
    }

    /// The payload; the `kafka` client cannot tell an empty payload from none.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        each_client!(self, record => record.payload())
    }

    /// Name and value of each header, in order; none with the `kafka` client.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        (0..).map_while(|index| each_client!(self, record => record.header(index)))
    }

    /// When it was made or stored, in milliseconds since 1970; not known by the `kafka` client.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        each_client!(self, record => record.timestamp_ms())
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("partition", &self.partition())
            .field("offset", &self.offset())
            .field("payload_len", &self.payload().map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}
