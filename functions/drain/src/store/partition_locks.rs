//! Partition locks: which partitions are ours for the time being.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;
use postgres::types::Type;
use sitewatch::postgres::{begin, explain, retried, root_cause};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;
use sitewatch_kafka::Range;

use super::commit::Topic;
use super::connections::Shared;
use super::offsets::stored;

/// Partitions that no other drain works on while this lives.
///
/// Only to save work: two drains on one partition would each read it, and of each batch one would be
/// refused. The locks belong to a transaction that stays open, not to the session, so that PgBouncer
/// keeps them with us, and they end with the connection whatever happens to the process. That
/// transaction reads and writes nothing, so that nobody waits for it and nothing is kept from being
/// vacuumed.
pub(crate) struct PartitionLocks {
    /// `None`: no connection could be had for them, and every partition counts as acquired.
    locks: Option<Client>,
    client: Shared,
    settings: DatabaseSettings,
    topic: Topic,
}

impl PartitionLocks {
    /// None yet. `locks` keeps them; `client` is asked and told everything else.
    pub(crate) fn new(
        locks: Option<Client>,
        client: Shared,
        settings: DatabaseSettings,
        topic: Topic,
    ) -> Self {
        Self {
            locks,
            client,
            settings,
            topic,
        }
    }

    /// Acquires the locks of the ranges' partitions that no other drain has, makes sure that each
    /// has an offset to be moved from, and, where `back_from` says so, moves it back to where its
    /// range begins. Returns the partitions, and where recording of all has got to by now.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used.
    pub(crate) fn acquire(
        &mut self,
        ranges: &[Range],
        back_from: Option<&BTreeMap<i32, i64>>,
    ) -> Result<(BTreeSet<i32>, BTreeMap<i32, i64>), Failure> {
        let acquired = self.lock(ranges);
        // Once: if it is the first writer's, that hardly lets go of it between its batches.
        let client = &mut self.client.lock();
        self.add(client, &acquired)?;
        if let Some(from) = back_from {
            self.go_back(client, &acquired, from)?;
        }
        let now = stored(client, &self.settings, &self.topic.name)?.offsets;
        let acquired = acquired.iter().map(|range| range.partition).collect();
        Ok((acquired, now))
    }

    /// Makes sure that each partition has an offset. Not with its first batch: a second batch must
    /// find that the first was not recorded.
    fn add(&self, client: &mut Client, ranges: &[Range]) -> Result<(), Failure> {
        let offsets: Vec<i64> = ranges.iter().map(|range| range.next).collect();
        let partitions: Vec<i32> = ranges.iter().map(|range| range.partition).collect();
        let add = || -> Result<(), postgres::Error> {
            let mut transaction = begin(client, &self.settings)?;
            // Asked first: `on conflict` alone waits for a transaction that is moving the offset,
            // such as that of a zombie drain which lost its partition lock.
            transaction.execute_typed(
                "insert into kafka_offsets (topic, partition, next_offset, topic_id)
                 select $1, partition, next_offset, $4
                 from unnest($2, $3) as new (partition, next_offset)
                 where not exists (
                     select from kafka_offsets as known
                     where known.topic = $1 and known.partition = new.partition)
                 on conflict (topic, partition) do nothing",
                &[
                    (&self.topic.name, Type::TEXT),
                    (&partitions, Type::INT4_ARRAY),
                    (&offsets, Type::INT8_ARRAY),
                    (&self.topic.id, Type::TEXT),
                ],
            )?;
            // Drained so far by a client that does not know ids.
            transaction.execute_typed(
                "update kafka_offsets set topic_id = $3
                 where topic = $1 and partition = any($2) and topic_id is null
                   and $3::text is not null",
                &[
                    (&self.topic.name, Type::TEXT),
                    (&partitions, Type::INT4_ARRAY),
                    (&self.topic.id, Type::TEXT),
                ],
            )?;
            transaction.commit()
        };
        retried(add).map_err(|error| explain("beginning to drain partitions", &error))
    }

    /// Those of the ranges whose partition no other drain has locked.
    fn lock(&mut self, ranges: &[Range]) -> Vec<Range> {
        let Some(locks) = &mut self.locks else {
            return ranges.to_vec();
        };
        let partitions: Vec<i32> = ranges.iter().map(|range| range.partition).collect();
        let locked = locks.query_typed(
            "select partition from unnest($2) as partition
             where pg_try_advisory_xact_lock(hashtextextended('sitewatch.drain ' || $1 || ' ' || partition, 0))",
            &[(&self.topic.name, Type::TEXT), (&partitions, Type::INT4_ARRAY)],
        );
        match locked {
            Ok(rows) => {
                let locked: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
                ranges
                    .iter()
                    .filter(|range| locked.contains(&range.partition))
                    .copied()
                    .collect()
            }
            Err(error) => {
                log::info!("goes on without partition locks: {}", root_cause(&error));
                self.locks = None;
                ranges.to_vec()
            }
        }
    }

    /// Moves offsets back to where the ranges begin, from where they were when the run began.
    fn go_back(
        &self,
        client: &mut Client,
        ranges: &[Range],
        from: &BTreeMap<i32, i64>,
    ) -> Result<(), Failure> {
        let go_back = || -> Result<(), postgres::Error> {
            let mut transaction = begin(client, &self.settings)?;
            for range in ranges {
                let Some(from) = from.get(&range.partition) else {
                    continue;
                };
                transaction.execute_typed(
                    "update kafka_offsets
                     set next_offset = $4, topic_id = coalesce($5, topic_id), updated_at = now()
                     where topic = $1 and partition = $2 and next_offset = $3",
                    &[
                        (&self.topic.name, Type::TEXT),
                        (&range.partition, Type::INT4),
                        (from, Type::INT8),
                        (&range.next, Type::INT8),
                        (&self.topic.id, Type::TEXT),
                    ],
                )?;
            }
            transaction.commit()
        };
        retried(go_back).map_err(|error| explain("going back to the first message", &error))
    }
}
