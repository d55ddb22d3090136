//! Days: added up from their hours, once they are over.

use jiff::civil::Date;
use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::run::Failure;

use crate::rollup::{self, Parameter, Rolled};
use crate::settings::Settings;

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
    rollup::by_portions(transaction, day, STATEMENTS, &of_day)?;
    Ok(Rolled::Done)
}

const STATEMENTS: &[&str] = &[
    "delete from checks_daily where day = $1 and website_id >= $2 and website_id < $3",
    include_str!("days_counts.sql"),
    "delete from response_times_daily where day = $1 and website_id >= $2 and website_id < $3",
    include_str!("days_response_times.sql"),
];
