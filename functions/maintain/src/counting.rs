//! Counts an hour's checks: they are read once, as they lie, and added up here. That costs PostgreSQL a
//! third of what adding them up itself does, because each has six response times that fall into
//! buckets of their own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use postgres::{Row, Transaction};

use crate::response_times::{self, Pair};
use crate::rollup::{Parameter, portions};
use crate::statistics::{Check, Statistics};

/// Checks that are added up at once: bounds the memory, to 100 MB.
const CHECKS_AT_ONCE: i64 = 2_000_000;

/// Replaces what the rollups hold of an hour by what its checks say.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn count(
    transaction: &mut Transaction<'_>,
    hour: Timestamp,
) -> Result<(), postgres::Error> {
    let of_hour: [Parameter<'_>; 1] = [(&hour, Type::TIMESTAMPTZ)];
    for statement in [
        "delete from checks_hourly where hour = $1",
        "delete from response_times_hourly where hour = $1",
    ] {
        transaction.execute_typed(statement, &of_hour)?;
    }
    let checks: i64 = transaction
        .query_typed_one(
            "select count(*) from checks where checked_at >= $1 and checked_at < $1 + interval '1 hour'",
            &of_hour,
        )?
        .get(0);
    for (first, after) in portions(transaction, checks / CHECKS_AT_ONCE + 1)? {
        let mut counted = read(transaction, hour, first, after)?;
        write_counts(transaction, hour, &mut counted)?;
        response_times::store(
            transaction,
            "response_times_hourly",
            "hour",
            (&hour, Type::TIMESTAMPTZ),
            counted
                .iter()
                .map(|(pair, statistics)| (pair, &statistics.response_times)),
        )?;
    }
    Ok(())
}

/// In the order of the rollups' keys, so that neighbours lie together there.
type Counted = BTreeMap<Pair, Statistics>;

fn read(
    transaction: &mut Transaction<'_>,
    hour: Timestamp,
    first: i32,
    after: i32,
) -> Result<Counted, postgres::Error> {
    let parameters: [Parameter<'_>; 3] = [
        (&hour, Type::TIMESTAMPTZ),
        (&first, Type::INT4),
        (&after, Type::INT4),
    ];
    let mut counted = Counted::new();
    let mut rows = transaction.query_typed_raw(include_str!("hours_checks.sql"), parameters)?;
    while let Some(row) = rows.next()? {
        let pair = (row.get(0), row.get(1));
        counted.entry(pair).or_default().add(&check(&row));
    }
    Ok(counted)
}

/// A check, from the columns of `hours_checks.sql`.
fn check(row: &Row) -> Check {
    Check {
        checked_at: row.get(2),
        scheduled_at: row.get(3),
        interval_ms: row.get(4),
        outcome: row.get(5),
        up: row.get(6),
        maintenance: row.get(7),
        is_answered: row.get(8),
        phases: std::array::from_fn(|phase| row.get(9 + phase)),
    }
}

fn write_counts(
    transaction: &mut Transaction<'_>,
    hour: Timestamp,
    counted: &mut Counted,
) -> Result<(), postgres::Error> {
    let times = Type::TIMESTAMPTZ;
    let types = [
        times.clone(),
        times.clone(),
        times.clone(),
        times.clone(),
        times,
        Type::INT4,
        Type::INT2,
        Type::INT4,
        Type::INT4,
        Type::INT4,
        Type::INT4,
        Type::INT4,
        Type::INT4_ARRAY,
        Type::INT4,
        Type::INT4,
        Type::INT8,
    ];
    let sink = transaction.copy_in(
        "copy checks_hourly (
             hour, first_at, last_at, first_known_at, last_known_at, website_id, location_id,
             checks, up, down, unknown, maintenance, outcomes, slots, duplicates, covered_ms
         ) from stdin (format binary)",
    )?;
    let mut writer = BinaryCopyInWriter::new(sink, &types);
    for ((website_id, location_id), statistics) in counted {
        let coverage = statistics.coverage();
        writer.write(&[
            &hour,
            &statistics.span.map(|span| span.first),
            &statistics.span.map(|span| span.last),
            &statistics.known.map(|span| span.first),
            &statistics.known.map(|span| span.last),
            website_id,
            location_id,
            &statistics.checks,
            &statistics.up,
            &statistics.down,
            &statistics.unknown,
            &statistics.maintenance,
            &statistics.outcomes.elements(),
            &coverage.map(|coverage| coverage.slots),
            &coverage.map(|coverage| coverage.duplicates),
            &coverage.map(|coverage| coverage.covered_ms),
        ])?;
    }
    writer.finish()?;
    Ok(())
}
