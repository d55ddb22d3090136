//! Where recording has got to on the topic.

use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::Reader;

/// A partition of a topic that was drained.
#[derive(Clone, Debug)]
pub(crate) struct Offset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The first message that is not recorded yet.
    pub(crate) next: i64,
}

/// Reads it, of every partition.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Vec<Offset>, Failure> {
    let rows = reader
        .transaction
        .query_typed(
            "select topic, partition, next_offset from kafka_offsets order by topic, partition",
            &[],
        )
        .map_err(|error| explain("reading where recording has got to", &error))?;
    Ok(rows
        .iter()
        .map(|row| Offset {
            topic: row.get(0),
            partition: row.get(1),
            next: row.get(2),
        })
        .collect())
}
