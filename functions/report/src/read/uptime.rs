//! How many of its checks found a site up, in each window.

use std::collections::HashMap;

use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::span::{WINDOW_DAYS, WINDOWS};
use super::{Key, Parameter, Reader};

/// Counts in each of the windows; checks that could not be made and those in maintenance do not
/// count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uptime {
    pub(crate) up: [i64; WINDOWS],
    pub(crate) known: [i64; WINDOWS],
}

impl Uptime {
    /// Percentage of the checks that found the site up; `None` without checks.
    pub(crate) fn percentage(&self, window: usize) -> Option<f64> {
        let known = *self.known.get(window)?;
        let up = *self.up.get(window)?;
        (known > 0).then(|| 100.0 * up as f64 / known as f64)
    }
}

/// $1 the first hour of the first window, $2 hours to be read from the hourly rollups, $3 today,
/// $4 days not to be read from the daily ones, $5 to $7 the fresh hours and their ends, $8 the
/// websites or null.
const QUERY: &str = "
    with by_hour as (
        select hour, website_id, location_id, up, up + down as known
        from checks_hourly
        where hour = any ($2) and ($8::int4[] is null or website_id = any ($8))
        union all
        select hour, website_id, location_id, count(*) filter (where up), count(up)
        from (
            select date_trunc('hour', checked_at, 'UTC') as hour, website_id, location_id, up
            from checks
            where checked_at >= $6 and checked_at < $7 and not maintenance
                and ($8::int4[] is null or website_id = any ($8))
        ) as fresh
        where hour = any ($5)
        group by hour, website_id, location_id
    ),
    recent as (
        select website_id, location_id, (hour at time zone 'UTC')::date as day, hour >= $1 as in_day,
            sum(up)::int8 as up, sum(known)::int8 as known
        from by_hour
        group by website_id, location_id, (hour at time zone 'UTC')::date, hour >= $1
    ),
    everything as (
        select website_id, location_id, day, in_day, day = any ($4) or day >= $3 as in_days, up, known
        from recent
        union all
        select website_id, location_id, day, false, true, up, up + down
        from checks_daily
        where day >= $3 - 90 and day < $3 and not (day = any ($4))
            and ($8::int4[] is null or website_id = any ($8))
    )
    select website_id, location_id,
        coalesce(sum(up) filter (where in_day), 0)::int8,
        coalesce(sum(up) filter (where in_days and day >= $3 - 7), 0)::int8,
        coalesce(sum(up) filter (where in_days and day >= $3 - 30), 0)::int8,
        coalesce(sum(up) filter (where in_days), 0)::int8,
        coalesce(sum(known) filter (where in_day), 0)::int8,
        coalesce(sum(known) filter (where in_days and day >= $3 - 7), 0)::int8,
        coalesce(sum(known) filter (where in_days and day >= $3 - 30), 0)::int8,
        coalesce(sum(known) filter (where in_days), 0)::int8
    from everything
    group by website_id, location_id";

/// Reads the counts of every site.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<HashMap<Key, Uptime>, Failure> {
    // The statement above names the windows one by one.
    const { assert!(WINDOW_DAYS[1] == 7 && WINDOW_DAYS[2] == 30 && WINDOW_DAYS[3] == 90) };
    let wrong = |error: postgres::Error| explain("counting checks", &error);
    let span = reader.span.clone();
    let hours = span.rolled_hours();
    let (fresh_from, fresh_to) = span.fresh_stretch();
    let parameters: [Parameter<'_>; 8] = [
        (&span.day_ago, Type::TIMESTAMPTZ),
        (&hours, Type::TIMESTAMPTZ_ARRAY),
        (&span.today, Type::DATE),
        (&span.dirty_days, Type::DATE_ARRAY),
        (&span.fresh, Type::TIMESTAMPTZ_ARRAY),
        (&fresh_from, Type::TIMESTAMPTZ),
        (&fresh_to, Type::TIMESTAMPTZ),
        (&reader.only, Type::INT4_ARRAY),
    ];
    let rows = reader
        .transaction
        .query_typed(QUERY, &parameters)
        .map_err(wrong)?;
    Ok(rows
        .iter()
        .map(|row| {
            let window = |first: usize| std::array::from_fn(|window| row.get(first + window));
            let uptime = Uptime {
                up: window(2),
                known: window(2 + WINDOWS),
            };
            ((row.get(0), row.get(1)), uptime)
        })
        .collect())
}
