//! Messages that could not be recorded, as they came.

use postgres::Transaction;
use postgres::types::Type;

use crate::decode::DeadLetter;

/// Inserts dead letters; `place` is the topic and the partition that they come from, `None` when
/// they come from a pipe.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    place: Option<(&str, i32)>,
    dead_letters: &[DeadLetter],
) -> Result<(), postgres::Error> {
    if dead_letters.is_empty() {
        return Ok(());
    }
    let (topic, partition) = place.unzip();
    let offsets: Vec<i64> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.offset)
        .collect();
    let keys: Vec<Option<&[u8]>> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.key.as_deref())
        .collect();
    let values: Vec<Option<&[u8]>> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.value.as_deref())
        .collect();
    let headers: Vec<&str> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.headers.as_str())
        .collect();
    let timestamps: Vec<Option<jiff::Timestamp>> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.timestamp)
        .collect();
    let reasons: Vec<&str> = dead_letters
        .iter()
        .map(|dead_letter| dead_letter.reason.as_str())
        .collect();
    transaction.execute_typed(
        "insert into dead_letters
             (topic, partition, message_offset, key, value, headers, message_timestamp, reason)
         select $1, $2, message_offset, key, value, headers::jsonb, message_timestamp, reason
         from unnest($3, $4, $5, $6, $7, $8)
             as new (message_offset, key, value, headers, message_timestamp, reason)",
        &[
            (&topic, Type::TEXT),
            (&partition, Type::INT4),
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
