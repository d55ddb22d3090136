//! What each site's days were like.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::span::DAYS;
use super::{Key, Parameter, Reader};
use crate::histogram::Histogram;
use crate::lines::DayLine;
use crate::settings::Settings;

/// Counts of a site's day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) key: Key,
    /// Days before today.
    pub(crate) ago: i32,
    pub(crate) up: i64,
    pub(crate) down: i64,
}

/// $1 hours to be read from the hourly rollups, $2 today, $3 days not to be read from the daily
/// ones, $4 to $6 the fresh hours and their ends, $7 the websites or null, $8 the first day.
const COUNTS: &str = "
    select website_id, location_id, $2 - day, up::int8, down::int8
    from checks_daily
    where day >= $8 and day < $2 and not (day = any ($3))
        and ($7::int4[] is null or website_id = any ($7))
    union all
    select website_id, location_id, $2 - day, sum(up)::int8, sum(down)::int8
    from (
        select website_id, location_id, (hour at time zone 'UTC')::date as day, up, down
        from checks_hourly
        where hour = any ($1) and ($7::int4[] is null or website_id = any ($7))
        union all
        select website_id, location_id, (hour at time zone 'UTC')::date,
            count(*) filter (where up), count(*) filter (where not up)
        from (
            select date_trunc('hour', checked_at, 'UTC') as hour, website_id, location_id, up
            from checks
            where checked_at >= $5 and checked_at < $6 and not maintenance
                and ($7::int4[] is null or website_id = any ($7))
        ) as fresh
        where hour = any ($4)
        group by website_id, location_id, hour
    ) as by_hour
    where day >= $8 and (day >= $2 or day = any ($3))
    group by website_id, location_id, day";

/// Hands each site's days to `take`, in no order.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn counts(
    reader: &mut Reader<'_>,
    first: Date,
    mut take: impl FnMut(Day),
) -> Result<(), Failure> {
    let wrong = |error: postgres::Error| explain("counting days", &error);
    let span = reader.span.clone();
    let hours = span.rolled_hours();
    let (fresh_from, fresh_to) = span.fresh_stretch();
    let parameters: [Parameter<'_>; 8] = [
        (&hours, Type::TIMESTAMPTZ_ARRAY),
        (&span.today, Type::DATE),
        (&span.dirty_days, Type::DATE_ARRAY),
        (&span.fresh, Type::TIMESTAMPTZ_ARRAY),
        (&fresh_from, Type::TIMESTAMPTZ),
        (&fresh_to, Type::TIMESTAMPTZ),
        (&reader.only, Type::INT4_ARRAY),
        (&first, Type::DATE),
    ];
    let mut rows = reader
        .transaction
        .query_typed_raw(COUNTS, parameters)
        .map_err(wrong)?;
    while let Some(row) = rows.next().map_err(wrong)? {
        take(Day {
            key: (row.get(0), row.get(1)),
            ago: row.get(2),
            up: row.get(3),
            down: row.get(4),
        });
    }
    Ok(())
}

/// The lines of REPORT_KIND=days: days that are over, from the daily rollups alone.
const LINES: &str = "
    select counts.day, websites.name, locations.name, counts.checks, counts.up, counts.down,
        counts.unknown, counts.maintenance, times.total
    from checks_daily as counts
    join websites on websites.id = counts.website_id
    join locations on locations.id = counts.location_id
    left join response_times_daily as times on times.day = counts.day
        and times.website_id = counts.website_id and times.location_id = counts.location_id
    where counts.day >= $1 and ($2::int4[] is null or counts.website_id = any ($2))
    order by counts.day desc, websites.name, locations.name";

/// Reads the days that are over, newest first.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn lines(reader: &mut Reader<'_>, settings: &Settings) -> Result<Vec<DayLine>, Failure> {
    let wrong = |error: postgres::Error| explain("reading days", &error);
    let first = settings.since.map_or_else(
        || reader.span.first_day(),
        |since| TimeZone::UTC.to_datetime(since).date(),
    );
    let rows = reader
        .transaction
        .query_typed(
            LINES,
            &[(&first, Type::DATE), (&reader.only, Type::INT4_ARRAY)],
        )
        .map_err(wrong)?;
    Ok(rows
        .iter()
        .map(|row| {
            let (up, down): (i32, i32) = (row.get(4), row.get(5));
            let mut total = Histogram::default();
            total.add(&row.get::<_, Option<Vec<i32>>>(8).unwrap_or_default());
            DayLine {
                day: row.get(0),
                site: row.get(1),
                location: row.get(2),
                checks: row.get(3),
                up,
                down,
                unknown: row.get(6),
                maintenance: row.get(7),
                uptime: (up + down > 0).then(|| 100.0 * f64::from(up) / f64::from(up + down)),
                p50_us: total.percentile(0.5),
                p95_us: total.percentile(0.95),
                p99_us: total.percentile(0.99),
            }
        })
        .collect())
}

/// Days in the status page's bar: those before today and today.
pub(crate) const BAR_DAYS: usize = DAYS as usize;
