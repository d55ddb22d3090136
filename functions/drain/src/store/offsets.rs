//! Where recording has got to.

use std::collections::{BTreeMap, BTreeSet};

use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use super::Topic;
use crate::batch::Batch;
use crate::plan::Loss;

/// The stored offset of each partition of a topic that was ever drained.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn stored(client: &mut Client, topic: &str) -> Result<BTreeMap<i32, i64>, Failure> {
    Ok(client
        .query_typed(
            "select partition, next_offset from kafka_offsets where topic = $1",
            &[(&topic, Type::TEXT)],
        )
        .map_err(|error| explain("reading where recording has got to", &error))?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

/// Partitions whose stored offset is one of another topic that had the same name.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn of_another_topic(
    client: &mut Client,
    topic: &str,
    id: &str,
) -> Result<BTreeSet<i32>, Failure> {
    Ok(client
        .query_typed(
            "select partition from kafka_offsets where topic = $1 and topic_id <> $2",
            &[(&topic, Type::TEXT), (&id, Type::TEXT)],
        )
        .map_err(|error| explain("comparing the topic's id", &error))?
        .into_iter()
        .map(|row| row.get(0))
        .collect())
}

/// Whether the topic's id was known to an earlier run.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn knows_id(client: &mut Client, topic: &str) -> Result<bool, Failure> {
    client
        .query_typed(
            "select from kafka_offsets where topic = $1 and topic_id is not null limit 1",
            &[(&topic, Type::TEXT)],
        )
        .map(|rows| !rows.is_empty())
        .map_err(|error| explain("looking up the topic's id", &error))
}

/// Moves the partition's offset from where the batch begins to where it ends; `false` when it is
/// somewhere else by now, that is, another drain was quicker, or it is one of another topic.
pub(super) fn advance(
    transaction: &mut Transaction<'_>,
    topic: &Topic,
    partition: i32,
    batch: &Batch,
) -> Result<bool, postgres::Error> {
    let moved = transaction.execute_typed(
        "update kafka_offsets set next_offset = $4, updated_at = now()
         where topic = $1 and partition = $2 and next_offset = $3
           and ($5::text is null or topic_id = $5)",
        &[
            (&topic.name, Type::TEXT),
            (&partition, Type::INT4),
            (&batch.from, Type::INT8),
            (&batch.next, Type::INT8),
            (&topic.id, Type::TEXT),
        ],
    )?;
    Ok(moved == 1)
}

/// Writes down what is passed over and moves the offsets past it, so that it is said once.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn record_losses(
    client: &mut Client,
    settings: &DatabaseSettings,
    topic: &str,
    id: Option<&str>,
    losses: &[Loss],
) -> Result<(), Failure> {
    let mut record = || -> Result<(), postgres::Error> {
        let mut transaction = begin(client, settings)?;
        for loss in losses {
            let moved = transaction.execute_typed(
                "update kafka_offsets
                 set next_offset = $4, topic_id = coalesce($5, topic_id), updated_at = now()
                 where topic = $1 and partition = $2 and next_offset = $3",
                &[
                    (&topic, Type::TEXT),
                    (&loss.partition, Type::INT4),
                    (&loss.from, Type::INT8),
                    (&loss.to, Type::INT8),
                    (&id, Type::TEXT),
                ],
            )?;
            // Another drain that saw the same gap has written it down already.
            if moved == 1 {
                transaction.execute_typed(
                    "insert into kafka_losses (topic, partition, from_offset, to_offset, reason)
                     values ($1, $2, $3, $4, $5)",
                    &[
                        (&topic, Type::TEXT),
                        (&loss.partition, Type::INT4),
                        (&loss.from, Type::INT8),
                        (&loss.to, Type::INT8),
                        (&loss.reason.words(), Type::TEXT),
                    ],
                )?;
            }
        }
        transaction.commit()
    };
    record().map_err(|error| explain("writing down lost offsets", &error))
}
