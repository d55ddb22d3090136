//! Which partitions are ours for the time being.

use std::collections::BTreeMap;
use std::time::Duration;

use postgres::Client;
use postgres::types::Type;
use sitewatch::kafka::Range;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use super::stored;
use crate::settings::Settings;

/// How long after its deadline a drain may still hold partitions.
const GRACE: Duration = Duration::from_secs(10);

/// Partitions that no other drain works on while this lives.
///
/// Only to save work: two drains on one partition would each do it all, and one would be refused
/// at the end. The locks belong to a transaction that stays open, not to the session, so that
/// PgBouncer keeps them with us, and they end with the connection whatever happens to the process.
/// That transaction reads and writes nothing, so that nobody waits for it and nothing is kept from
/// being vacuumed.
pub(crate) struct Claims<'a> {
    locks: Client,
    client: &'a mut Client,
    settings: DatabaseSettings,
    topic: String,
    topic_id: Option<String>,
    refused: u64,
}

impl<'a> Claims<'a> {
    /// None yet. `locks` keeps them; `client` is asked and told everything else.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn begin(
        mut locks: Client,
        client: &'a mut Client,
        settings: &Settings,
        topic: &str,
        topic_id: Option<&str>,
    ) -> Result<Self, Failure> {
        // A drain that lives has ended by its deadline. One that is frozen has not, and must not
        // keep its partitions from the others for ever.
        let longest = (settings.deadline + GRACE).as_millis();
        locks
            .batch_execute(&format!(
                "begin; set local idle_in_transaction_session_timeout = {}",
                longest.min(i32::MAX as u128)
            ))
            .map_err(|error| explain("taking partitions", &error))?;
        Ok(Self {
            locks,
            client,
            settings: settings.database.clone(),
            topic: topic.to_owned(),
            topic_id: topic_id.map(str::to_owned),
            refused: 0,
        })
    }

    /// Partitions that other drains had.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes those of the ranges' partitions that no other drain has, and makes sure that each has
    /// an offset to be moved from.
    ///
    /// Not with its first batch: a second batch must find that the first was not recorded.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used.
    pub(crate) fn take(&mut self, ranges: &[Range]) -> Result<Vec<Range>, Failure> {
        let partitions: Vec<i32> = ranges.iter().map(|range| range.partition).collect();
        let taken: Vec<i32> = self
            .locks
            .query_typed(
                "select partition from unnest($2) as partition
                 where pg_try_advisory_xact_lock(hashtextextended('sitewatch.drain ' || $1 || ' ' || partition, 0))",
                &[(&self.topic, Type::TEXT), (&partitions, Type::INT4_ARRAY)],
            )
            .map_err(|error| explain("taking partitions", &error))?
            .into_iter()
            .map(|row| row.get(0))
            .collect();
        self.refused += (partitions.len() - taken.len()) as u64;
        let taken: Vec<Range> = ranges
            .iter()
            .filter(|range| taken.contains(&range.partition))
            .copied()
            .collect();
        let offsets: Vec<i64> = taken.iter().map(|range| range.next).collect();
        let partitions: Vec<i32> = taken.iter().map(|range| range.partition).collect();
        let mut add = || -> Result<(), postgres::Error> {
            let mut transaction = begin(self.client, &self.settings)?;
            // Asked first: `on conflict` alone waits for a transaction that is moving the offset,
            // such as that of a drain which was frozen and lost its claim.
            transaction.execute_typed(
                "insert into kafka_offsets (topic, partition, next_offset, topic_id)
                 select $1, partition, next_offset, $4
                 from unnest($2, $3) as new (partition, next_offset)
                 where not exists (
                     select from kafka_offsets as known
                     where known.topic = $1 and known.partition = new.partition)
                 on conflict (topic, partition) do nothing",
                &[
                    (&self.topic, Type::TEXT),
                    (&partitions, Type::INT4_ARRAY),
                    (&offsets, Type::INT8_ARRAY),
                    (&self.topic_id, Type::TEXT),
                ],
            )?;
            // Drained so far by a client that does not know ids.
            transaction.execute_typed(
                "update kafka_offsets set topic_id = $3
                 where topic = $1 and partition = any($2) and topic_id is null
                   and $3::text is not null",
                &[
                    (&self.topic, Type::TEXT),
                    (&partitions, Type::INT4_ARRAY),
                    (&self.topic_id, Type::TEXT),
                ],
            )?;
            transaction.commit()
        };
        add().map_err(|error| explain("beginning to drain partitions", &error))?;
        Ok(taken)
    }

    /// Moves offsets back to where the ranges begin, from where they were when the run began.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used.
    pub(crate) fn go_back(
        &mut self,
        ranges: &[Range],
        from: &BTreeMap<i32, i64>,
    ) -> Result<(), Failure> {
        let mut go_back = || -> Result<(), postgres::Error> {
            let mut transaction = begin(self.client, &self.settings)?;
            for range in ranges {
                let Some(from) = from.get(&range.partition) else {
                    continue;
                };
                transaction.execute_typed(
                    "update kafka_offsets
                     set next_offset = $4, topic_id = coalesce($5, topic_id), updated_at = now()
                     where topic = $1 and partition = $2 and next_offset = $3",
                    &[
                        (&self.topic, Type::TEXT),
                        (&range.partition, Type::INT4),
                        (from, Type::INT8),
                        (&range.next, Type::INT8),
                        (&self.topic_id, Type::TEXT),
                    ],
                )?;
            }
            transaction.commit()
        };
        go_back().map_err(|error| explain("going back to the first message", &error))
    }

    /// Where recording has got to by now.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn stored(&mut self) -> Result<BTreeMap<i32, i64>, Failure> {
        Ok(stored(self.client, &self.topic)?.offsets)
    }
}
