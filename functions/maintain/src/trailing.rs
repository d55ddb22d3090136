//! What reports of all sites read instead of adding up the rollups: `migrations/V27__trailing.sql`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{ToSql, Type};
use postgres::{Client, Transaction};
use sitewatch::run::Failure;

use crate::histogram::Histogram;
use crate::response_times::Pair;
use crate::rollup::{self, Parameter, Rolled};
use crate::settings::Settings;

/// Sites, each as often as it has locations, whose hours are added up at once: bounds the memory, to
/// some 30 MB.
const PAIRS_AT_ONCE: i64 = 30_000;

/// Says that an hour is about to change: sums that it is in do not hold any more.
///
/// Written to in any case. Who adds up at the same time on an older view of the rollups is refused then.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn hour_changes(
    transaction: &mut Transaction<'_>,
    hour: Timestamp,
) -> Result<(), postgres::Error> {
    transaction
        .execute_typed(
            "update trailing_ends
             set hour = case when hour > $1 and hour <= $1 + interval '24 hours' then null else hour end",
            &[(&hour, Type::TIMESTAMPTZ)],
        )
        .map(drop)
}

/// The same of a day.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn day_changes(
    transaction: &mut Transaction<'_>,
    day: Date,
) -> Result<(), postgres::Error> {
    transaction
        .execute_typed(
            "update trailing_ends set day = case when day > $1 and day <= $1 + 90 then null else day end",
            &[(&day, Type::DATE)],
        )
        .map(drop)
}

/// Adds up the days before today and the hours before the running one, unless that is done or another
/// run is at work, which does it at its end.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn add_up(client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    rollup::roll_up(client, settings, "the last 90 days", add_up_days)?;
    rollup::roll_up(client, settings, "the last 24 hours", add_up_hours)?;
    Ok(())
}

fn add_up_days(transaction: &mut Transaction<'_>) -> Result<Rolled, postgres::Error> {
    let Some(row) = transaction.query_typed_opt(
        "update trailing_ends set day = (now() at time zone 'UTC')::date
         where day is distinct from (now() at time zone 'UTC')::date
         returning day",
        &[],
    )?
    else {
        return Ok(Rolled::Nothing);
    };
    let today: Date = row.get(0);
    transaction.execute_typed("delete from trailing_days", &[])?;
    transaction.execute_typed(include_str!("trailing_days.sql"), &[(&today, Type::DATE)])?;
    Ok(Rolled::Done)
}

fn add_up_hours(transaction: &mut Transaction<'_>) -> Result<Rolled, postgres::Error> {
    let Some(row) = transaction.query_typed_opt(
        "update trailing_ends set hour = date_trunc('hour', now(), 'UTC')
         where hour is distinct from date_trunc('hour', now(), 'UTC')
         returning hour",
        &[],
    )?
    else {
        return Ok(Rolled::Nothing);
    };
    let hour: Timestamp = row.get(0);
    for statement in [
        "delete from trailing_hours",
        "delete from trailing_response_times",
    ] {
        transaction.execute_typed(statement, &[])?;
    }
    let pairs: i64 = transaction
        .query_typed_one("select count(*) from website_states", &[])?
        .get(0);
    for (first, after) in rollup::portions(transaction, pairs / PAIRS_AT_ONCE + 1)? {
        add_up_counts(transaction, hour, first, after)?;
        add_up_response_times(transaction, hour, first, after)?;
    }
    Ok(Rolled::Done)
}

/// Through here: PostgreSQL uses all CPUs for what it only reads.
fn add_up_counts(
    transaction: &mut Transaction<'_>,
    hour: Timestamp,
    first: i32,
    after: i32,
) -> Result<(), postgres::Error> {
    let of_day = TimeZone::UTC
        .to_datetime(hour - SignedDuration::from_hours(1))
        .date()
        .to_zoned(TimeZone::UTC)
        .map_or(hour, |midnight| midnight.timestamp());
    let sums = transaction.query_typed(
        include_str!("trailing_hours.sql"),
        &[
            (&hour, Type::TIMESTAMPTZ),
            (&of_day, Type::TIMESTAMPTZ),
            (&first, Type::INT4),
            (&after, Type::INT4),
        ],
    )?;
    let sink = transaction.copy_in(
        "copy trailing_hours (
             website_id, location_id, up_24h, up_of_day, down_24h, down_of_day,
             covered_ms_24h, covered_ms_of_day, duplicates_24h
         ) from stdin (format binary)",
    )?;
    let mut types = vec![Type::INT4, Type::INT2];
    types.extend([const { Type::INT8 }; 7]);
    let mut writer = BinaryCopyInWriter::new(sink, &types);
    for sum in &sums {
        let (website_id, location_id): (i32, i16) = (sum.get(0), sum.get(1));
        let counts: [i64; 7] = std::array::from_fn(|count| sum.get(2 + count));
        let mut row: Vec<&(dyn ToSql + Sync)> = vec![&website_id, &location_id];
        row.extend(counts.iter().map(|count| -> &(dyn ToSql + Sync) { count }));
        writer.write(&row)?;
    }
    writer.finish()?;
    Ok(())
}

fn add_up_response_times(
    transaction: &mut Transaction<'_>,
    hour: Timestamp,
    first: i32,
    after: i32,
) -> Result<(), postgres::Error> {
    let parameters: [Parameter<'_>; 3] = [
        (&hour, Type::TIMESTAMPTZ),
        (&first, Type::INT4),
        (&after, Type::INT4),
    ];
    let mut sums: BTreeMap<Pair, Histogram> = BTreeMap::new();
    let mut rows = transaction.query_typed_raw(
        "select website_id, location_id, total
         from response_times_hourly
         where hour >= $1 - interval '24 hours' and hour < $1
             and website_id >= $2 and website_id < $3",
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let sum = sums.entry((row.get(0), row.get(1))).or_default();
        sum.add(&row.get::<_, Vec<i32>>(2));
    }
    drop(rows);
    let sink = transaction.copy_in(
        "copy trailing_response_times (website_id, location_id, total) from stdin (format binary)",
    )?;
    let types = [Type::INT4, Type::INT2, Type::INT4_ARRAY];
    let mut writer = BinaryCopyInWriter::new(sink, &types);
    for ((website_id, location_id), sum) in &sums {
        writer.write(&[website_id, location_id, &sum.elements()])?;
    }
    writer.finish()?;
    Ok(())
}
