//! The reader over librdkafka: its requests, and its end.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::assignment::partition_list;
use super::fetching::Fetching;
use super::watcher::Watcher;
use super::{config, connect, identity};
use crate::reader::ClientReader;
use crate::{KafkaError, KafkaSettings, LOG, PartitionBounds, Polled, Range};

/// How long leaving may take; librdkafka leaves at once unless a thread of its own hangs.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// How long what is not needed for reading may take, if `connect_timeout` is not shorter: the
/// topic's id, which the controller tells, and the group's broker before offsets are stored, which
/// are for tools that show lag. What a scheduler grants between SIGTERM and SIGKILL is seconds.
const ASIDE: Duration = Duration::from_secs(2);

/// Between two questions to a broker that is starting.
const BACKOFF: Duration = Duration::from_millis(100);

pub(crate) struct Reader {
    client: BaseConsumer<Watcher>,
    partitions: Vec<i32>,
    topic_id: Result<Option<String>, KafkaError>,
    fetching: Fetching,
}

impl Reader {
    pub(crate) fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let client: BaseConsumer<Watcher> = config::consumer(settings)?
            .create_with_context(Watcher::new(settings.broker_list()))
            .map_err(|error| config::rejected(&error, settings))?;
        let mut reader = Self {
            client,
            partitions: Vec::new(),
            topic_id: Ok(None),
            fetching: Fetching::new(settings),
        };
        reader.partitions = connect::find_topic(reader.client.client(), settings, || {
            drop(reader.client.poll(Duration::ZERO));
        })?;
        Ok(reader)
    }

    /// Asks for one boundary of all partitions, in one request to each broker; `fetch_watermarks`
    /// asks for one partition at a time.
    fn boundaries(&self, boundary: Offset) -> Result<Vec<(i32, i64)>, KafkaError> {
        const WHAT: &str = "tell what the topic holds";
        let deadline = Instant::now() + self.fetching.timeout;
        let answer = loop {
            let asked = self.list(
                self.partitions
                    .iter()
                    .map(|&partition| (partition, boundary)),
            )?;
            let answer = self
                .client
                .offsets_for_times(asked, self.fetching.timeout)
                .map_err(|error| self.request_error(WHAT, &error))?;
            // librdkafka asks again where the leader has moved, not where it does not know yet that
            // it leads: for a moment after a broker's start.
            let is_starting = answer.elements().iter().any(|element| {
                element.error().is_err_and(|error| {
                    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownLeaderEpoch)
                })
            });
            if !is_starting || Instant::now() >= deadline {
                break answer;
            }
            thread::sleep(BACKOFF);
        };
        answer
            .elements()
            .iter()
            .map(|element| match (element.error(), element.offset()) {
                (Ok(()), Offset::Offset(offset)) => Ok((element.partition(), offset)),
                (Ok(()), other) => Err(KafkaError::Failed {
                    what: WHAT,
                    cause: format!("partition {} answered {other:?}", element.partition()),
                }),
                (Err(error), _) => Err(self.request_error(WHAT, &error)),
            })
            .collect()
    }

    fn list(
        &self,
        offsets: impl Iterator<Item = (i32, Offset)>,
    ) -> Result<TopicPartitionList, KafkaError> {
        partition_list(&self.fetching.topic, offsets)
    }

    fn request_error(&self, what: &'static str, error: &RdError) -> KafkaError {
        self.client.client().context().request_error(what, error)
    }
}

impl ClientReader for Reader {
    fn bounds(&mut self) -> Result<Vec<PartitionBounds>, KafkaError> {
        // Answered meanwhile.
        let identity = identity::ask(self.client.client(), &self.fetching.topic)?;
        let firsts = self.boundaries(Offset::Beginning)?;
        let ends = self.boundaries(Offset::End)?;
        self.topic_id = identity.answer(self.fetching.timeout.min(ASIDE));
        Ok(firsts
            .into_iter()
            .zip(ends)
            .map(|((partition, first), (_, end))| PartitionBounds {
                partition,
                first,
                end,
            })
            .collect())
    }

    fn topic_id(&self) -> Result<Option<String>, KafkaError> {
        self.topic_id.clone()
    }

    fn group_offsets(&mut self) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
        const WHAT: &str = "tell the group's offsets";
        let asked = self.list(self.partitions.iter().map(|&p| (p, Offset::Invalid)))?;
        let answer = self
            .client
            .committed_offsets(asked, self.fetching.timeout)
            .map_err(|error| self.request_error(WHAT, &error))?;
        answer
            .elements()
            .iter()
            .map(|element| {
                element
                    .error()
                    .map_err(|error| self.request_error(WHAT, &error))?;
                Ok(match element.offset() {
                    Offset::Offset(offset) => (element.partition(), Some(offset)),
                    _ => (element.partition(), None),
                })
            })
            .collect()
    }

    fn assign(&mut self, ranges: &[Range]) -> Result<(), KafkaError> {
        self.fetching.assign(&self.client, ranges)
    }

    fn is_done(&self) -> bool {
        self.fetching.is_done()
    }

    fn finish(&mut self, partition: i32) -> Result<(), KafkaError> {
        self.fetching.finish(&self.client, partition)
    }

    fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, KafkaError> {
        self.fetching.poll(&self.client, wait)
    }

    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), KafkaError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let list = self.list(
            offsets
                .iter()
                .map(|&(p, offset)| (p, Offset::Offset(offset))),
        )?;
        const WHAT: &str = "store the group's offsets";
        // librdkafka tries a commit again until it is answered, waits for it without a time limit,
        // and does not close before. So one is only begun when the group's broker has answered
        // something just now.
        let asked = self.list(offsets.iter().map(|&(p, _)| (p, Offset::Invalid)))?;
        self.client
            .committed_offsets(asked, self.fetching.timeout.min(ASIDE))
            .map_err(|error| self.request_error(WHAT, &error))?;
        self.client
            .commit(&list, CommitMode::Sync)
            .map_err(|error| self.request_error(WHAT, &error))
    }
}

impl Drop for Reader {
    /// Leaves in an orderly way, without the tenth of a second that the client's own drop waits:
    /// a process that ends with librdkafka's threads alive can crash inside OpenSSL.
    fn drop(&mut self) {
        if let Err(error) = self.client.close_queue() {
            log::warn!(target: LOG, "cannot close the Kafka consumer: {error}");
            return;
        }
        let deadline = Instant::now() + CLOSE_GRACE;
        while !self.client.closed() && Instant::now() < deadline {
            drop(self.client.poll(Duration::from_millis(1)));
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("partitions", &self.partitions)
            .field("fetching", &self.fetching)
            .finish_non_exhaustive()
    }
}
