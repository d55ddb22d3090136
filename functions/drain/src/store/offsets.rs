//! Where recording has got to.

use std::collections::{BTreeMap, BTreeSet};

use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use super::commit::Topic;
use super::connections::Shared;
use crate::batch::Batch;
use crate::plan::Loss;

/// What is stored of a topic's partitions that were ever drained.
#[derive(Default)]
pub(crate) struct Stored {
    /// The offset to go on from.
    pub(crate) offsets: BTreeMap<i32, i64>,
    /// Kafka's id of the topic that the offset is one of, where it is known.
    ids: BTreeMap<i32, String>,
}

impl Stored {
    /// Partitions whose offset is one of another topic that had the same name.
    pub(crate) fn of_another_topic(&self, id: &str) -> BTreeSet<i32> {
        let others = self.ids.iter().filter(|(_, stored)| *stored != id);
        others.map(|(partition, _)| *partition).collect()
    }

    /// Whether the topic's id was known to an earlier run.
    pub(crate) fn knows_id(&self) -> bool {
        !self.ids.is_empty()
    }
}

/// Where recording of a topic has got to.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn stored(
    client: &mut Client,
    settings: &DatabaseSettings,
    topic: &str,
) -> Result<Stored, Failure> {
    let mut read = || {
        begin(client, settings)?.query_typed(
            "select partition, next_offset, topic_id from kafka_offsets where topic = $1",
            &[(&topic, Type::TEXT)],
        )
    };
    let rows = read().map_err(|error| explain("reading where recording has got to", &error))?;
    let mut stored = Stored::default();
    for row in rows {
        let partition = row.get(0);
        stored.offsets.insert(partition, row.get(1));
        if let Some(id) = row.get(2) {
            stored.ids.insert(partition, id);
        }
    }
    Ok(stored)
}

/// Moves the offset of each partition from where the batch begins to where it ends. Returns the
/// partitions whose offset is somewhere else by now, that is, another drain was quicker, or it is
/// one of another topic: the transaction is then of no more use.
pub(super) fn advance(
    transaction: &mut Transaction<'_>,
    topic: &Topic,
    batch: &Batch,
) -> Result<Vec<i32>, postgres::Error> {
    let parts = batch.parts.iter();
    let (partitions, (from, next)): (Vec<i32>, (Vec<i64>, Vec<i64>)) = parts
        .map(|part| (part.partition, (part.from, part.next)))
        .unzip();
    let moved: Vec<i32> = transaction
        .query_typed(
            include_str!("offsets_advance.sql"),
            &[
                (&topic.name, Type::TEXT),
                (&partitions, Type::INT4_ARRAY),
                (&from, Type::INT8_ARRAY),
                (&next, Type::INT8_ARRAY),
                (&topic.id, Type::TEXT),
            ],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut fenced = partitions;
    fenced.retain(|partition| !moved.contains(partition));
    Ok(fenced)
}

/// Writes down what is passed over and moves the offsets past it, so that it is said once.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn record_losses(
    client: &Shared,
    settings: &DatabaseSettings,
    topic: &Topic,
    losses: &[Loss],
) -> Result<(), Failure> {
    let record = || -> Result<(), postgres::Error> {
        let mut client = client.lock();
        let mut transaction = begin(&mut client, settings)?;
        for loss in losses {
            // With the group's offsets a partition may lose messages before it was ever drained.
            // Asked first: `on conflict` alone waits for a transaction that is moving the offset.
            transaction.execute_typed(
                "insert into kafka_offsets (topic, partition, next_offset, topic_id)
                 select $1, $2, $3, $4
                 where not exists (
                     select from kafka_offsets where topic = $1 and partition = $2)
                 on conflict (topic, partition) do nothing",
                &[
                    (&topic.name, Type::TEXT),
                    (&loss.partition, Type::INT4),
                    (&loss.from, Type::INT8),
                    (&topic.id, Type::TEXT),
                ],
            )?;
            let moved = transaction.execute_typed(
                "update kafka_offsets
                 set next_offset = $4, topic_id = coalesce($5, topic_id), updated_at = now()
                 where topic = $1 and partition = $2 and next_offset = $3",
                &[
                    (&topic.name, Type::TEXT),
                    (&loss.partition, Type::INT4),
                    (&loss.from, Type::INT8),
                    (&loss.to, Type::INT8),
                    (&topic.id, Type::TEXT),
                ],
            )?;
            // Another drain that saw the same gap has written it down already.
            if moved == 1 {
                transaction.execute_typed(
                    "insert into kafka_losses (topic, partition, from_offset, to_offset, reason)
                     values ($1, $2, $3, $4, $5)",
                    &[
                        (&topic.name, Type::TEXT),
                        (&loss.partition, Type::INT4),
                        (&loss.from, Type::INT8),
                        (&loss.to, Type::INT8),
                        (&loss.reason.to_string(), Type::TEXT),
                    ],
                )?;
            }
        }
        transaction.commit()
    };
    retried(record).map_err(|error| explain("writing down lost offsets", &error))
}
