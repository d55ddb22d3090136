//! Where recording has got to.

use std::collections::BTreeMap;

use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::kafka::Range;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

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

/// Moves the partition's offset from where the batch begins to where it ends; `false` when it is
/// somewhere else by now, that is, another drain was quicker.
pub(super) fn advance(
    transaction: &mut Transaction<'_>,
    topic: &str,
    partition: i32,
    batch: &Batch,
) -> Result<bool, postgres::Error> {
    let moved = transaction.execute_typed(
        "update kafka_offsets set next_offset = $4, updated_at = now()
         where topic = $1 and partition = $2 and next_offset = $3",
        &[
            (&topic, Type::TEXT),
            (&partition, Type::INT4),
            (&batch.from, Type::INT8),
            (&batch.next, Type::INT8),
        ],
    )?;
    Ok(moved == 1)
}

/// Gives partitions that were never drained an offset to be moved from. Before any batch, and not
/// with the first one: a second batch must find that the first was not recorded.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn begin_partitions(
    client: &mut Client,
    topic: &str,
    ranges: &[Range],
) -> Result<(), Failure> {
    let partitions: Vec<i32> = ranges.iter().map(|range| range.partition).collect();
    let offsets: Vec<i64> = ranges.iter().map(|range| range.next).collect();
    client
        .execute_typed(
            "insert into kafka_offsets (topic, partition, next_offset)
             select $1, partition, next_offset from unnest($2, $3) as new (partition, next_offset)
             on conflict (topic, partition) do nothing",
            &[
                (&topic, Type::TEXT),
                (&partitions, Type::INT4_ARRAY),
                (&offsets, Type::INT8_ARRAY),
            ],
        )
        .map_err(|error| explain("beginning to drain partitions", &error))?;
    Ok(())
}

/// Takes the partitions that no other drain works on, for as long as `client` lives; returns those
/// it got.
///
/// Only to save work: two drains on one partition would each do it all, and one would be refused
/// at the end. The locks belong to a transaction that stays open, not to the session, so that
/// PgBouncer keeps them with us, and they end with the connection whatever happens to the process.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn claim(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<i32>, Failure> {
    let mut claim = || -> Result<Vec<i32>, postgres::Error> {
        client.batch_execute("begin; set local idle_in_transaction_session_timeout = 0")?;
        Ok(client
            .query_typed(
                "select partition from unnest($2) as partition
                 where pg_try_advisory_xact_lock(hashtextextended('sitewatch.drain ' || $1 || ' ' || partition, 0))",
                &[(&topic, Type::TEXT), (&partitions, Type::INT4_ARRAY)],
            )?
            .into_iter()
            .map(|row| row.get(0))
            .collect())
    };
    claim().map_err(|error| explain("taking partitions", &error))
}

/// Writes down what is passed over and moves the offsets past it, so that it is said once.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn record_losses(
    client: &mut Client,
    settings: &DatabaseSettings,
    topic: &str,
    losses: &[Loss],
) -> Result<(), Failure> {
    let mut record = || -> Result<(), postgres::Error> {
        let mut transaction = begin(client, settings)?;
        for loss in losses {
            let moved = transaction.execute_typed(
                "update kafka_offsets set next_offset = $4, updated_at = now()
                 where topic = $1 and partition = $2 and next_offset = $3",
                &[
                    (&topic, Type::TEXT),
                    (&loss.partition, Type::INT4),
                    (&loss.from, Type::INT8),
                    (&loss.to, Type::INT8),
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
                        (&loss.reason, Type::TEXT),
                    ],
                )?;
            }
        }
        transaction.commit()
    };
    record().map_err(|error| explain("writing down lost offsets", &error))
}
