//! The running hour, added up as far as it is recorded: `migrations/V30__running_hour.sql`.

use jiff::Timestamp;
use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::run::Failure;

use crate::rollup::{self, Rolled};
use crate::settings::Settings;

/// The hour, and until when its checks are most likely recorded: a location's are for as long as it takes to
/// make and to record one before its newest. A location that is behind holds the end back, one that is
/// silent does not.
const UNTIL: &str = "
    select date_trunc('hour', now(), 'UTC'), min(newest) - interval '2 minutes'
    from (
        select max(checked_at) as newest from website_states where checked_at <= now() group by location_id
    ) as location
    where newest > now() - interval '15 minutes'
    having min(newest) - interval '2 minutes' > date_trunc('hour', now(), 'UTC')";

/// What is counted here stands in one mark from now on. A mark that this transaction does not see stays, and
/// says that the sums do not hold if they lack what it stands for.
const MARK: &str = "
    with counted as (
        delete from dirty_hours where hour = $1 or summed_to is not null returning hour
    )
    insert into dirty_hours (hour, checked_from, summed_to)
    select hour, until, until
    from (select distinct hour, case when hour = $1 then $2::timestamptz end as until from counted) as marked";

/// Adds up what is recorded of the running hour, unless another run is at work.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn add_up(client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    rollup::roll_up(client, settings, "the running hour", add_up_hour).map(drop)
}

fn add_up_hour(transaction: &mut Transaction<'_>) -> Result<Rolled, postgres::Error> {
    let Some(row) = transaction.query_typed_opt(UNTIL, &[])? else {
        return Ok(Rolled::Nothing);
    };
    let (hour, until): (Timestamp, Timestamp) = (row.get(0), row.get(1));
    let stretch = [
        (&hour as _, Type::TIMESTAMPTZ),
        (&until as _, Type::TIMESTAMPTZ),
    ];
    transaction.execute_typed(MARK, &stretch)?;
    transaction.execute_typed("delete from running_hour", &[])?;
    transaction.execute_typed(include_str!("running.sql"), &stretch)?;
    Ok(Rolled::Done)
}
