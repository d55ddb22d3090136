//! Messages that could not be recorded, as they came.

use postgres::Transaction;
use postgres::types::Type;

use crate::decode::DeadLetter;

/// Inserts dead letters, each with its partition; `topic` is `None` when they come from a pipe.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    topic: Option<&str>,
    dead_letters: &[(i32, &DeadLetter)],
) -> Result<(), postgres::Error> {
    if dead_letters.is_empty() {
        return Ok(());
    }
    let partitions: Vec<Option<i32>> = dead_letters
        .iter()
        .map(|(partition, _)| topic.is_some().then_some(*partition))
        .collect();
    let offsets: Vec<i64> = dead_letters.iter().map(|(_, it)| it.offset).collect();
    let keys: Vec<Option<&[u8]>> = dead_letters
        .iter()
        .map(|(_, it)| it.key.as_deref())
        .collect();
    let values: Vec<Option<&[u8]>> = dead_letters
        .iter()
        .map(|(_, it)| it.value.as_deref())
        .collect();
    let headers: Vec<&str> = dead_letters
        .iter()
        .map(|(_, it)| it.headers.as_str())
        .collect();
    let timestamps: Vec<Option<jiff::Timestamp>> =
        dead_letters.iter().map(|(_, it)| it.timestamp).collect();
    let reasons: Vec<&str> = dead_letters
        .iter()
        .map(|(_, it)| it.reason.as_str())
        .collect();
    transaction.execute_typed(
        "insert into dead_letters
             (topic, partition, message_offset, key, value, headers, message_timestamp, reason)
         select $1, partition, message_offset, key, value, headers::jsonb, message_timestamp, reason
         from unnest($2, $3, $4, $5, $6, $7, $8)
             as new (partition, message_offset, key, value, headers, message_timestamp, reason)",
        &[
            (&topic, Type::TEXT),
            (&partitions, Type::INT4_ARRAY),
            (&offsets, Type::INT8_ARRAY),
            (&keys, Type::BYTEA_ARRAY),
            (&values, Type::BYTEA_ARRAY),
            (&headers, Type::TEXT_ARRAY),
            (&timestamps, Type::TIMESTAMPTZ_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}
