//! The reader over the `kafka` crate: its requests.

use std::fmt;
use std::time::Duration;

use kafka::client::fetch::Message;
use kafka::client::{CommitOffset, FetchOffset, KafkaClient, PartitionOffset};
use openssl::ssl::SslConnector;

use super::client;
use super::fetching::Fetching;
use super::guard::Guard;
use super::worker::Worker;
use crate::{KafkaError, KafkaSettings, LOG, PartitionBounds, Polled, Range};

pub(crate) struct Reader {
    connection: Connection,
    partitions: Vec<i32>,
    fetching: Fetching,
}

/// The client on its thread, and what it takes to make another.
pub(super) struct Connection {
    pub(super) worker: Worker,
    pub(super) settings: KafkaSettings,
    connector: Option<SslConnector>,
    /// `None` with brokers that are too old for it.
    pub(super) guard: Option<Guard>,
}

impl Connection {
    fn open(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let connector = client::prepare(settings)?;
        let worker = client::start(settings, connector.as_ref())?;
        Ok(Self {
            worker,
            settings: settings.clone(),
            connector,
            guard: None,
        })
    }

    /// Connects anew: a client that has lost its connection never recovers.
    pub(super) fn renew(&mut self) -> Result<(), KafkaError> {
        self.worker = client::start(&self.settings, self.connector.as_ref())?;
        Ok(())
    }

    /// Who sees what the client cannot.
    fn guard(&self) -> Result<Option<Guard>, KafkaError> {
        let guard = Guard::begin(&self.settings, self.connector.as_ref())?;
        if guard.is_none() {
            log::warn!(
                target: LOG,
                "these brokers are older than Kafka 3.1: with KAFKA_CLIENT=kafka a recreated topic \
                 shows only while it is shorter than what is recorded, and messages of aborted \
                 transactions are read like others; KAFKA_CLIENT=rdkafka sees both"
            );
        }
        Ok(guard)
    }

    fn call<T: Send + 'static>(
        &mut self,
        what: &'static str,
        request: impl FnOnce(&mut KafkaClient) -> Result<T, kafka::Error> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let timeout = self.settings.connect_timeout;
        self.worker
            .call(what, timeout, request)?
            .map_err(|error| client::failed(what, &error, &self.settings))
    }
}

impl Reader {
    pub(crate) fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let mut connection = Connection::open(settings)?;
        let topic = settings.topic.clone();
        let mut partitions = connection.call("list the partitions", move |client| {
            let topics = client.topics();
            let partitions = topics.partitions(&topic);
            Ok(partitions.map_or_else(Vec::new, |all| all.iter().map(|one| one.id()).collect()))
        })?;
        partitions.sort_unstable();
        Ok(Self {
            connection,
            partitions,
            fetching: Fetching::default(),
        })
    }

    pub(crate) fn bounds(&mut self) -> Result<Vec<PartitionBounds>, KafkaError> {
        const WHAT: &str = "tell what the topic holds";
        // First: a topic recreated after this is another one than what is read.
        self.connection.guard = self.connection.guard()?;
        let topic = self.connection.settings.topic.clone();
        let (firsts, ends) = self.connection.call(WHAT, move |client| {
            Ok((
                client.fetch_topic_offsets(&topic, FetchOffset::Earliest)?,
                client.fetch_topic_offsets(&topic, FetchOffset::Latest)?,
            ))
        })?;
        let committed = match &mut self.connection.guard {
            Some(guard) => Some(guard.committed_ends()?),
            None => None,
        };
        self.partitions
            .iter()
            .map(|&partition| {
                let of = |offsets: &[PartitionOffset]| {
                    offsets
                        .iter()
                        .find(|offset| offset.partition == partition)
                        .map(|it| it.offset)
                };
                let end = match &committed {
                    Some(committed) => committed.get(&partition).copied(),
                    None => of(&ends),
                };
                match (of(&firsts), end) {
                    (Some(first), Some(end)) => Ok(PartitionBounds {
                        partition,
                        first,
                        end,
                    }),
                    // The crate asks leaders only, and leaves out who has none.
                    _ => Err(KafkaError::Failed {
                        what: WHAT,
                        cause: format!("partition {partition} has no leader at the moment"),
                    }),
                }
            })
            .collect()
    }

    pub(crate) fn topic_id(&self) -> Option<String> {
        self.connection.guard.as_ref().map(Guard::topic_id)
    }

    pub(crate) fn group_offsets(&mut self) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
        let settings = &self.connection.settings;
        let (group, topic) = (settings.group_id.clone(), settings.topic.clone());
        let known = self
            .connection
            .call("tell the group's offsets", move |client| {
                client.fetch_group_topic_offset(&group, &topic)
            })?;
        Ok(self
            .partitions
            .iter()
            .map(|&partition| {
                let known = known.iter().find(|offset| offset.partition == partition);
                (
                    partition,
                    known.map(|it| it.offset).filter(|&offset| offset >= 0),
                )
            })
            .collect())
    }

    pub(crate) fn assign(&mut self, ranges: &[Range]) -> Result<(), KafkaError> {
        self.fetching = Fetching::new(ranges);
        Ok(())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.fetching.is_done()
    }

    pub(crate) fn finish(&mut self, partition: i32) -> Result<(), KafkaError> {
        self.fetching.finish(partition);
        Ok(())
    }

    pub(crate) fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, KafkaError> {
        self.fetching.poll(&mut self.connection, wait)
    }

    pub(crate) fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), KafkaError> {
        let settings = &self.connection.settings;
        let (group, topic) = (settings.group_id.clone(), settings.topic.clone());
        let offsets = offsets.to_vec();
        self.connection
            .call("store the group's offsets", move |client| {
                let offsets = offsets
                    .iter()
                    .map(|&(partition, offset)| CommitOffset::new(&topic, partition, offset));
                client.commit_offsets(&group, offsets)
            })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("settings", &self.connection.settings)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

/// A record in a response of the crate.
pub(crate) struct Record<'a> {
    pub(super) partition: i32,
    pub(super) message: &'a Message<'a>,
}

impl Record<'_> {
    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.message.offset
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        some_bytes(self.message.key)
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        some_bytes(self.message.value)
    }

    /// None: the protocol of this client has no headers.
    pub(crate) fn header(&self, _: usize) -> Option<(&str, Option<&[u8]>)> {
        None
    }

    /// None: the protocol of this client has no timestamps.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        None
    }
}

fn some_bytes(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}
