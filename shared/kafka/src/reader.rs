//! Reading: partitions from where somebody left off up to an end known beforehand.

use std::fmt::Debug;
use std::time::Duration;

use super::KafkaError;
use super::record::Record;

/// Reads ranges of one topic's partitions; never joins a consumer group.
#[derive(Debug)]
pub struct Reader(pub(super) Box<dyn ClientReader>);

/// What a client does for [`Reader`], whose methods say what each means.
pub(super) trait ClientReader: Debug + Send {
    fn bounds(&mut self) -> Result<Vec<PartitionBounds>, KafkaError>;
    fn topic_id(&self) -> Result<Option<String>, KafkaError>;
    fn group_offsets(&mut self) -> Result<Vec<(i32, Option<i64>)>, KafkaError>;
    fn assign(&mut self, ranges: &[Range]) -> Result<(), KafkaError>;
    fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, KafkaError>;
    fn is_done(&self) -> bool;
    fn finish(&mut self, partition: i32) -> Result<(), KafkaError>;
    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), KafkaError>;
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
    /// Asks the brokers what every partition of the topic holds now, in order of partition.
    ///
    /// # Errors
    /// `Partition` when one has no leader, `Timeout`, `Unreachable`, `Refused`, `Failed`.
    pub fn bounds(&mut self) -> Result<Vec<PartitionBounds>, KafkaError> {
        self.0.bounds()
    }

    /// The id by which brokers know the topic, as Kafka's tools print it; one recreated under the
    /// same name has another. Asked for together with [`bounds`](Self::bounds), and not known
    /// before. `None` from brokers before 2.8, with the `kafka` client before 3.1.
    ///
    /// # Errors
    /// `Timeout`, `Failed`: the reader goes on without it.
    pub fn topic_id(&self) -> Result<Option<String>, KafkaError> {
        self.0.topic_id()
    }

    /// The group's committed offset of every partition, `None` where it has none.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`, `Refused`, `Failed`.
    pub fn group_offsets(&mut self) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
        self.0.group_offsets()
    }

    /// Begins to fetch `ranges`, in place of whatever was being read. An empty range is left out.
    ///
    /// # Errors
    /// `Failed`, when the client does not take them.
    pub fn assign(&mut self, ranges: &[Range]) -> Result<(), KafkaError> {
        self.0.assign(ranges)
    }

    /// Returns the next thing that is known, waiting for up to `wait`; `None` when there was
    /// nothing, or when [`is_done`](Self::is_done).
    ///
    /// # Errors
    /// The whole reader is lost: brokers away for longer than `connect_timeout`, or refusing us.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, KafkaError> {
        self.0.poll(wait)
    }

    /// Whether every range has been read to its end, has failed or was given up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// Gives up what is left of a partition's range; nothing more of it is fetched or returned.
    /// A range read to its end, or failed, is given up by itself.
    ///
    /// # Errors
    /// `Failed`, when the client does not comply.
    pub fn finish(&mut self, partition: i32) -> Result<(), KafkaError> {
        self.0.finish(partition)
    }

    /// Stores the group's offsets, each the next one to read, for the tools that show lag. Waits
    /// for the broker's answer.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`, `Refused`, `Failed`.
    pub fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), KafkaError> {
        self.0.commit(offsets)
    }

    /// Closes the connection and ends the client's threads; dropping does the same.
    pub fn close(self) {}
}
