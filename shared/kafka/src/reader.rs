//! Reading: partitions from where somebody left off up to an end known beforehand.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "client-kafka")]
use super::kafka_rust;
#[cfg(feature = "client-rdkafka")]
use super::librdkafka;
use super::{Client, KafkaError, KafkaSettings};

/// Reads ranges of one topic's partitions; never joins a consumer group.
#[derive(Debug)]
pub struct Reader(Inner);

#[derive(Debug)]
enum Inner {
    #[cfg(feature = "client-rdkafka")]
    Rdkafka(Box<librdkafka::Reader>),
    #[cfg(feature = "client-kafka")]
    Kafka(Box<kafka_rust::Reader>),
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionBounds {
    /// The partition.
    pub partition: i32,
    /// The oldest offset that retention has left.
    pub first: i64,
    /// The offset after the last message that can be read (of committed transactions only).
    pub end: i64,
}

/// What to read of a partition: offsets from `next` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The partition.
    pub partition: i32,
    /// The first offset to read.
    pub next: i64,
    /// The offset to stop before.
    pub end: i64,
}

/// What one [`Reader::poll`] found.
#[derive(Debug)]
pub enum Polled<'a> {
    /// A record inside its partition's range.
    Record(Record<'a>),
    /// The partition's position moved without a record: transaction markers, aborted
    /// transactions and compaction leave such holes. Never beyond the range's end.
    Position {
        /// The partition.
        partition: i32,
        /// Everything below this offset has been delivered or holds nothing.
        next: i64,
    },
    /// A batch that cannot be read, however often it is asked for: damaged, or too large once it is
    /// unpacked. It stays on the topic. Reading goes on behind it.
    Unreadable {
        /// The partition.
        partition: i32,
        /// The first offset of it that was to be read.
        from: i64,
        /// The offset after it.
        next: i64,
        /// Why it cannot be read, with its size.
        cause: String,
    },
    /// This partition is finished for this run; the others go on.
    Failed {
        /// The partition.
        partition: i32,
        /// Always [`KafkaError::Partition`].
        error: KafkaError,
    },
}

impl Reader {
    /// Connects, and proves that a broker answers and has the topic.
    ///
    /// # Errors
    /// Any kind but `Partition`; after `connect_timeout` at the latest.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        match settings.client {
            #[cfg(feature = "client-rdkafka")]
            Client::Rdkafka => librdkafka::Reader::connect(settings)
                .map(|reader| Self(Inner::Rdkafka(Box::new(reader)))),
            #[cfg(feature = "client-kafka")]
            Client::Kafka => kafka_rust::Reader::connect(settings)
                .map(|reader| Self(Inner::Kafka(Box::new(reader)))),
            #[allow(unreachable_patterns, reason = "reachable when one client is left out")]
            client => Err(super::not_compiled_in(client)),
        }
    }

    /// Asks the brokers what every partition of the topic holds now, in order of partition.
    ///
    /// # Errors
    /// `Partition` when one has no leader, `Timeout`, `Unreachable`, `Refused`, `Failed`.
    pub fn bounds(&mut self) -> Result<Vec<PartitionBounds>, KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.bounds(),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.bounds(),
        }
    }

    /// The id by which brokers know the topic, as Kafka's tools print it; one recreated under the
    /// same name has another. Asked for together with [`bounds`](Self::bounds), and not known
    /// before. `None` from brokers before 2.8, with the `kafka` client before 3.1.
    ///
    /// # Errors
    /// `Timeout`, `Failed`: the reader goes on without it.
    pub fn topic_id(&self) -> Result<Option<String>, KafkaError> {
        match &self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.topic_id(),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => Ok(reader.topic_id()),
        }
    }

    /// The group's committed offset of every partition, `None` where it has none.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`, `Refused`, `Failed`.
    pub fn group_offsets(&mut self) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.group_offsets(),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.group_offsets(),
        }
    }

    /// Begins to fetch `ranges`, in place of whatever was being read. An empty range is left out.
    ///
    /// # Errors
    /// `Failed`, when the client does not take them.
    pub fn assign(&mut self, ranges: &[Range]) -> Result<(), KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.assign(ranges),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.assign(ranges),
        }
    }

    /// Returns the next thing that is known, waiting for up to `wait`; `None` when there was
    /// nothing, or when [`is_done`](Self::is_done).
    ///
    /// # Errors
    /// The whole reader is lost: brokers away for longer than `connect_timeout`, or refusing us.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.poll(wait),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.poll(wait),
        }
    }

    /// Whether every range has been read to its end, has failed or was given up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.is_done(),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.is_done(),
        }
    }

    /// Gives up what is left of a partition's range; nothing more of it is fetched or returned.
    /// A range read to its end, or failed, is given up by itself.
    ///
    /// # Errors
    /// `Failed`, when the client does not comply.
    pub fn finish(&mut self, partition: i32) -> Result<(), KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.finish(partition),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.finish(partition),
        }
    }

    /// Stores the group's offsets, each the next one to read, for the tools that show lag. Waits
    /// for the broker's answer.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`, `Refused`, `Failed`.
    pub fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(reader) => reader.commit(offsets),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(reader) => reader.commit(offsets),
        }
    }

    /// Closes the connection and ends the client's threads; dropping does the same.
    pub fn close(self) {}
}

/// A record, borrowed from the client's memory.
pub struct Record<'a>(pub(super) ClientRecord<'a>);

/// The record as each client holds it.
pub(super) enum ClientRecord<'a> {
    #[cfg(feature = "client-rdkafka")]
    Rdkafka(librdkafka::Record<'a>),
    #[cfg(feature = "client-kafka")]
    Kafka(kafka_rust::Record<'a>),
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
