//! Messages that could not be recorded.

use jiff::Timestamp;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::Reader;

/// When the newest of them was recorded, found by the table's key; `None`: there are none.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn newest(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, Failure> {
    let rows = reader
        .transaction
        .query_typed(
            "select recorded_at from dead_letters order by id desc limit 1",
            &[],
        )
        .map_err(|error| explain("reading when the newest dead letter was recorded", &error))?;
    Ok(rows.first().map(|row| row.get(0)))
}
