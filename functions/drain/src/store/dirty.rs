//! The mark that says which hours the rollups have to count again, late checks' hours included.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::Type;

use super::commit::Keyed;

const HOUR_US: i64 = 3_600_000_000;

/// Marks the hours of these rows, and from when on each has any. Always by new rows of `dirty_hours`:
/// marking a row that is there already would make drains wait for each other, and for `maintain`, which
/// removes what it has counted.
pub(super) fn mark(
    transaction: &mut Transaction<'_>,
    rows: &[Keyed<'_>],
) -> Result<(), postgres::Error> {
    let mut first: BTreeMap<i64, i64> = BTreeMap::new();
    for check in rows {
        let at = check.checked_at_us;
        let known = first.entry(at.div_euclid(HOUR_US)).or_insert(at);
        *known = at.min(*known);
    }
    let (hours, first): (Vec<Timestamp>, Vec<Timestamp>) = first
        .into_iter()
        .filter_map(|(hour, at)| {
            let time = |us| Timestamp::from_microsecond(us).ok();
            time(hour * HOUR_US).zip(time(at))
        })
        .unzip();
    transaction.execute_typed(
        "insert into dirty_hours (hour, checked_from) select * from unnest($1, $2)",
        &[
            (&hours, Type::TIMESTAMPTZ_ARRAY),
            (&first, Type::TIMESTAMPTZ_ARRAY),
        ],
    )?;
    Ok(())
}
