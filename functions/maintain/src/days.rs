//! Days: added up from their hours, once they are over.

use jiff::civil::Date;
use postgres::Client;
use postgres::types::Type;
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;

use crate::rollup::{self, Rolled};
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
    let wrong = |error: postgres::Error| explain("reading which days to roll up", &error);
    let mut transaction = begin(client, &settings.database).map_err(wrong)?;
    let rows = transaction
        .query_typed(
            "select day from dirty_days where day < $1 order by day",
            &[(&today, Type::DATE)],
        )
        .map_err(wrong)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
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
    // A run that was quicker has left no marks for the next attempt.
    retried(|| try_roll_up(client, settings, day))
        .map_err(|error| explain(&format!("rolling up {day}"), &error))
}

fn try_roll_up(
    client: &mut Client,
    settings: &Settings,
    day: Date,
) -> Result<Rolled, postgres::Error> {
    let mut transaction = begin(client, &settings.database)?;
    if !rollup::take(&mut transaction)? {
        return Ok(Rolled::Busy);
    }
    let marks = transaction.execute_typed(
        "delete from dirty_days where day = $1",
        &[(&day, Type::DATE)],
    )?;
    if marks == 0 {
        return Ok(Rolled::Nothing);
    }
    transaction.query_typed(
        "select create_rollup_partitions($1, $1)",
        &[(&day, Type::DATE)],
    )?;
    rollup::by_portions(
        &mut transaction,
        &[
            FORGET_COUNTS,
            COUNT,
            FORGET_RESPONSE_TIMES,
            ADD_RESPONSE_TIMES,
        ],
        &[(&day, Type::DATE)],
    )?;
    transaction.commit()?;
    Ok(Rolled::Done)
}

const FORGET_COUNTS: &str =
    "delete from checks_daily where day = $1 and website_id >= $2 and website_id < $3";

const COUNT: &str = "
    insert into checks_daily (
        day, website_id, location_id, checks, up, down, unknown, maintenance, outcomes, first_at, last_at
    )
    select $1, counts.website_id, counts.location_id, checks, up, down, unknown, maintenance,
        coalesce(outcomes, '{}'), first_at, last_at
    from (
        select website_id, location_id,
            sum(checks) as checks, sum(up) as up, sum(down) as down, sum(unknown) as unknown,
            sum(maintenance) as maintenance, min(first_at) as first_at, max(last_at) as last_at
        from checks_hourly
        where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
            and website_id >= $2 and website_id < $3
        group by website_id, location_id
    ) as counts
    left join (
        select website_id, location_id, array_agg(histogram_element(code, counted) order by code) as outcomes
        from (
            select website_id, location_id, element >> 22 as code, sum(element & 4194303)::bigint as counted
            from checks_hourly
            cross join unnest(outcomes) as element
            where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
                and website_id >= $2 and website_id < $3
            group by website_id, location_id, element >> 22
        ) as by_code
        group by website_id, location_id
    ) as by_site using (website_id, location_id)
    order by counts.website_id, counts.location_id";

const FORGET_RESPONSE_TIMES: &str =
    "delete from response_times_daily where day = $1 and website_id >= $2 and website_id < $3";

const ADD_RESPONSE_TIMES: &str = "
    insert into response_times_daily (
        day, website_id, location_id, total, dns, connect, tls, first_byte, body
    )
    select $1, website_id, location_id,
        coalesce(array_agg(element order by element) filter (where phase = 0), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 1), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 2), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 3), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 4), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 5), '{}')
    from (
        select website_id, location_id, phase,
            histogram_element(part >> 22, sum(part & 4194303)::bigint) as element
        from response_times_hourly
        cross join lateral (
            values (0, total), (1, dns), (2, connect), (3, tls), (4, first_byte), (5, body)
        ) as measured (phase, histogram)
        cross join lateral unnest(histogram) as part
        where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
            and website_id >= $2 and website_id < $3
        group by website_id, location_id, phase, part >> 22
    ) as buckets
    group by website_id, location_id
    order by website_id, location_id";
