//! Days: added up from their hours, once they are over.

use std::collections::BTreeMap;

use jiff::civil::Date;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::run::Failure;

use crate::response_times::{self, PHASES, Pair, ResponseTimes};
use crate::rollup::{self, Parameter, Rolled};
use crate::settings::Settings;
use crate::trailing;

/// Sites, each as often as it has locations, whose response times are added up at once: bounds the
/// memory, to some 60 MB.
const PAIRS_AT_ONCE: u64 = 30_000;

/// Days to be rolled up, oldest first.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn pending(
    client: &mut Client,
    settings: &Settings,
    today: Date,
) -> Result<Vec<Date>, Failure> {
    rollup::pending(
        client,
        settings,
        "days",
        "select day from dirty_days where day < $1 order by day",
        &[(&today, Type::DATE)],
    )
}

/// Rolls up a day.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn roll_up(
    client: &mut Client,
    settings: &Settings,
    day: Date,
) -> Result<Rolled, Failure> {
    rollup::roll_up(client, settings, &day.to_string(), |transaction| {
        add_up(transaction, day)
    })
}

fn add_up(transaction: &mut Transaction<'_>, day: Date) -> Result<Rolled, postgres::Error> {
    let of_day: Parameter<'_> = (&day, Type::DATE);
    let marks = transaction.execute_typed(
        "delete from dirty_days where day = $1",
        std::slice::from_ref(&of_day),
    )?;
    if marks == 0 {
        return Ok(Rolled::Nothing);
    }
    rollup::make_partitions(transaction, day)?;
    trailing::day_changes(transaction, day)?;
    for statement in [
        "delete from checks_daily where day = $1",
        "delete from response_times_daily where day = $1",
    ] {
        transaction.execute_typed(statement, std::slice::from_ref(&of_day))?;
    }
    let pairs = transaction.execute_typed(
        include_str!("days_counts.sql"),
        std::slice::from_ref(&of_day),
    )?;
    let number = i64::try_from(pairs / PAIRS_AT_ONCE + 1).unwrap_or(i64::MAX);
    for (first, after) in rollup::portions(transaction, number)? {
        add_up_response_times(transaction, day, first, after)?;
    }
    Ok(Rolled::Done)
}

/// Adds them up here: PostgreSQL takes four times as long, bucket by bucket.
fn add_up_response_times(
    transaction: &mut Transaction<'_>,
    day: Date,
    first: i32,
    after: i32,
) -> Result<(), postgres::Error> {
    let parameters: [Parameter<'_>; 3] = [
        (&day, Type::DATE),
        (&first, Type::INT4),
        (&after, Type::INT4),
    ];
    // In the order of the rollups' keys, so that neighbours lie together there.
    let mut sums: BTreeMap<Pair, ResponseTimes> = BTreeMap::new();
    let mut rows = transaction.query_typed_raw(
        "select website_id, location_id, total, dns, connect, tls, first_byte, body
         from response_times_hourly
         where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
             and website_id >= $2 and website_id < $3",
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let sum = sums.entry((row.get(0), row.get(1))).or_default();
        for phase in 0..PHASES {
            sum.add(phase, &row.get::<_, Vec<i32>>(2 + phase));
        }
    }
    drop(rows);
    response_times::store(
        transaction,
        "response_times_daily",
        "day",
        (&day, Type::DATE),
        sums.iter(),
    )
}
