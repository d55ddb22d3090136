//! Hours: counts, response times and failures from the checks of one hour and nothing else; verdicts
//! from these and from what the hour before left.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::run::Failure;

use crate::counting;
use crate::rollup::{self, Parameter, Rolled};
use crate::settings::Settings;
use crate::{trailing, verdicts};

/// Hours to be rolled up, oldest first. Not the one that is not over: it would have to be done
/// again, and reports read its checks themselves.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn pending(client: &mut Client, settings: &Settings) -> Result<Vec<Timestamp>, Failure> {
    rollup::pending(
        client,
        settings,
        "hours",
        "select distinct hour from dirty_hours
         where hour < date_trunc('hour', now(), 'UTC') order by hour",
        &[],
    )
}

/// Rolls up an hour.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn roll_up(
    client: &mut Client,
    settings: &Settings,
    hour: Timestamp,
) -> Result<Rolled, Failure> {
    let what = format!("the hour from {hour}");
    rollup::roll_up(client, settings, &what, |transaction| {
        count(transaction, hour)
    })
}

fn count(transaction: &mut Transaction<'_>, hour: Timestamp) -> Result<Rolled, postgres::Error> {
    let day = TimeZone::UTC.to_datetime(hour).date();
    let of_day: Parameter<'_> = (&day, Type::DATE);
    let of_hour: Parameter<'_> = (&hour, Type::TIMESTAMPTZ);
    let only_hour = std::slice::from_ref(&of_hour);
    let marks = transaction.execute_typed("delete from dirty_hours where hour = $1", only_hour)?;
    if marks == 0 {
        return Ok(Rolled::Nothing);
    }
    // Of a day that was dropped, what stands is truer than what is left would give, unless it is
    // less: an hour that had no checks, or one of a day that was dropped by mistake.
    let is_final: bool = transaction
        .query_typed_one(
            "select $1 < checks_from and (
                 select count(*) from checks where checked_at >= $2 and checked_at < $2 + interval '1 hour'
             ) < (
                 select coalesce(sum(checks), 0) from checks_hourly where hour = $2
             )
             from retention",
            &[of_day.clone(), of_hour.clone()],
        )?
        .get(0);
    if is_final {
        log::warn!(
            "checks of the hour from {hour} came after their day was dropped (MAINTAIN_KEEP_CHECKS): they are not counted"
        );
        return Ok(Rolled::Nothing);
    }
    let before = verdicts::Before::keep(transaction, hour)?;
    rollup::make_partitions(transaction, day)?;
    trailing::hour_changes(transaction, hour)?;
    counting::count(transaction, hour)?;
    transaction.execute_typed("delete from outages_hourly where hour = $1", only_hour)?;
    transaction.execute_typed(include_str!("hours_outages.sql"), only_hour)?;
    before.derive(transaction)?;
    transaction.execute_typed(
        "insert into dirty_days (day) values ($1) on conflict do nothing",
        &[of_day],
    )?;
    Ok(Rolled::Done)
}
