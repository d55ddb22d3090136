//! The mark that says which hours the rollups have to count again, late checks' hours included.

use std::collections::BTreeSet;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::Type;

use super::commit::Keyed;

const HOUR_S: i64 = 3_600;

/// Marks the hours of these rows. Always by new rows of `dirty_hours`: marking a row that is there
/// already would make drains wait for each other, and for `maintain`, which removes what it has
/// counted.
pub(super) fn mark(
    transaction: &mut Transaction<'_>,
    rows: &[Keyed<'_>],
) -> Result<(), postgres::Error> {
    let hours: BTreeSet<i64> = rows
        .iter()
        .map(|check| check.row.checked_at.as_second().div_euclid(HOUR_S))
        .collect();
    let hours: Vec<Timestamp> = hours
        .into_iter()
        .filter_map(|hour| Timestamp::from_second(hour * HOUR_S).ok())
        .collect();
    transaction.execute_typed(
        "insert into dirty_hours (hour) select unnest($1)",
        &[(&hours, Type::TIMESTAMPTZ_ARRAY)],
    )?;
    Ok(())
}
