//! The reader over the `kafka` crate: its requests.

use std::fmt;
use std::time::Duration;

use kafka::client::{CommitOffset, FetchOffset, PartitionOffset};

use super::connection::Connection;
use super::fetching::Fetching;
use super::guard::Guard;
use crate::reader::ClientReader;
use crate::{KafkaError, KafkaSettings, PartitionBounds, Polled, Range};

pub(crate) struct Reader {
    connection: Connection,
    partitions: Vec<i32>,
    fetching: Fetching,
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
}

impl ClientReader for Reader {
    fn bounds(&mut self) -> Result<Vec<PartitionBounds>, KafkaError> {
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

    fn topic_id(&self) -> Result<Option<String>, KafkaError> {
        Ok(self.connection.guard.as_ref().map(Guard::topic_id))
    }

    fn group_offsets(&mut self) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
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

    fn assign(&mut self, ranges: &[Range]) -> Result<(), KafkaError> {
        self.fetching = Fetching::new(ranges);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.fetching.is_done()
    }

    fn finish(&mut self, partition: i32) -> Result<(), KafkaError> {
        self.fetching.finish(partition);
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, KafkaError> {
        self.fetching.poll(&mut self.connection, wait)
    }

    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), KafkaError> {
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
