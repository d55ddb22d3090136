//! Hours: counts, response times and incidents, from the checks of one hour and nothing else.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use postgres::Client;
use postgres::types::Type;
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;

use crate::rollup::{self, Rolled};
use crate::settings::Settings;

/// Hours to be rolled up, oldest first. Not the one that is not over: it would have to be done
/// again, and reports read its checks themselves.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn pending(client: &mut Client, settings: &Settings) -> Result<Vec<Timestamp>, Failure> {
    let wrong = |error: postgres::Error| explain("reading which hours to roll up", &error);
    let mut transaction = begin(client, &settings.database).map_err(wrong)?;
    let rows = transaction
        .query_typed(
            "select distinct hour from dirty_hours
             where hour < date_trunc('hour', now(), 'UTC') order by hour",
            &[],
        )
        .map_err(wrong)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
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
    // A run that was quicker has left no marks for the next attempt.
    retried(|| try_roll_up(client, settings, hour))
        .map_err(|error| explain(&format!("rolling up the hour from {hour}"), &error))
}

fn try_roll_up(
    client: &mut Client,
    settings: &Settings,
    hour: Timestamp,
) -> Result<Rolled, postgres::Error> {
    let of_hour = (
        &hour as &(dyn postgres::types::ToSql + Sync),
        Type::TIMESTAMPTZ,
    );
    let mut transaction = begin(client, &settings.database)?;
    if !rollup::take(&mut transaction)? {
        return Ok(Rolled::Busy);
    }
    let marks = transaction.execute_typed(
        "delete from dirty_hours where hour = $1",
        std::slice::from_ref(&of_hour),
    )?;
    if marks == 0 {
        return Ok(Rolled::Nothing);
    }
    let day = TimeZone::UTC.to_datetime(hour).date();
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
            &[(&day, Type::DATE), of_hour.clone()],
        )?
        .get(0);
    if is_final {
        transaction.commit()?;
        log::warn!(
            "checks of the hour from {hour} came after their day was dropped: they are not counted"
        );
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
            MEASURE_RESPONSE_TIMES,
        ],
        std::slice::from_ref(&of_hour),
    )?;
    for statement in [FORGET_INCIDENTS, FIND_INCIDENTS] {
        transaction.execute_typed(statement, std::slice::from_ref(&of_hour))?;
    }
    transaction.execute_typed(
        "insert into dirty_days (day) values ($1) on conflict do nothing",
        &[(&day, Type::DATE)],
    )?;
    transaction.commit()?;
    Ok(Rolled::Done)
}

const FORGET_COUNTS: &str =
    "delete from checks_hourly where hour = $1 and website_id >= $2 and website_id < $3";

const COUNT: &str = "
    insert into checks_hourly (
        hour, website_id, location_id, checks, up, down, unknown, maintenance, outcomes,
        first_at, last_at, first_known_at
    )
    select $1, website_id, location_id,
        sum(counted),
        coalesce(sum(counted) filter (where up and not maintenance), 0),
        coalesce(sum(counted) filter (where not up and not maintenance), 0),
        coalesce(sum(counted) filter (where up is null and not maintenance), 0),
        coalesce(sum(counted) filter (where maintenance), 0),
        coalesce(
            array_agg(histogram_element(outcome, counted) order by outcome) filter (where not maintenance),
            '{}'
        ),
        min(first_at),
        max(last_at),
        min(first_at) filter (where up is not null and not maintenance)
    from (
        select website_id, location_id, outcome, up, maintenance,
            count(*) as counted, min(checked_at) as first_at, max(checked_at) as last_at
        from checks
        where checked_at >= $1 and checked_at < $1 + interval '1 hour'
            and website_id >= $2 and website_id < $3
        group by website_id, location_id, outcome, up, maintenance
    ) as by_outcome
    group by website_id, location_id
    order by website_id, location_id";

const FORGET_RESPONSE_TIMES: &str =
    "delete from response_times_hourly where hour = $1 and website_id >= $2 and website_id < $3";

/// A status means that an answer came: how long a timeout took is not a response time.
const MEASURE_RESPONSE_TIMES: &str = "
    insert into response_times_hourly (
        hour, website_id, location_id, total, dns, connect, tls, first_byte, body
    )
    select $1, website_id, location_id,
        coalesce(array_agg(element order by element) filter (where phase = 0), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 1), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 2), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 3), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 4), '{}'),
        coalesce(array_agg(element order by element) filter (where phase = 5), '{}')
    from (
        select website_id, location_id, phase, histogram_element(bucket, count(*)) as element
        from (
            select website_id, location_id, phase, histogram_bucket(taken) as bucket
            from checks
            cross join lateral (
                values (0, total_us), (1, dns_us), (2, connect_us), (3, tls_us), (4, first_byte_us), (5, body_us)
            ) as measured (phase, taken)
            where checked_at >= $1 and checked_at < $1 + interval '1 hour'
                and website_id >= $2 and website_id < $3
                and up is not null and not maintenance and status is not null
                and taken is not null
        ) as measurements
        group by website_id, location_id, phase, bucket
    ) as buckets
    group by website_id, location_id
    order by website_id, location_id";

const FORGET_INCIDENTS: &str = "delete from outages_hourly where hour = $1";

const FIND_INCIDENTS: &str = "
    insert into outages_hourly (
        hour, website_id, location_id, started_at, last_down_at, ended_at, checks, outcome,
        follows_up, error
    )
    select hour, website_id, location_id, started_at, last_down_at, ended_at, checks, outcome,
        follows_up, error
    from find_outages(array[$1])
    order by website_id, location_id, started_at";
