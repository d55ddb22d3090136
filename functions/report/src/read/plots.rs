//! Response times over time, of the few sites that are drawn.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::span::midnight;
use super::{Key, Reader};
use crate::histogram::{Elements, Histogram};

/// A site's histograms by the time they begin.
pub(crate) type Series = BTreeMap<Timestamp, Histogram>;

/// The stretches that are drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plots {
    /// By hour.
    pub(crate) day: Series,
    /// By six hours.
    pub(crate) week: Series,
    /// By day.
    pub(crate) quarter: Series,
}

/// A point of the week is this long.
const WEEK_STEP_S: i64 = 6 * 3_600;

const BY_HOUR: &str = "
    select website_id, location_id, hour, total
    from response_times_hourly
    where hour = any ($1) and website_id = any ($2)";

/// The running hour and others that the rollups lack.
const FRESH: &str = "
    select website_id, location_id, hour, array_agg(histogram_element(bucket, counted))
    from (
        select website_id, location_id, date_trunc('hour', checked_at, 'UTC') as hour,
            histogram_bucket(total_us) as bucket, count(*) as counted
        from checks
        where checked_at >= $2 and checked_at < $3 and website_id = any ($4)
            and up is not null and not maintenance and status is not null
        group by 1, 2, 3, 4
    ) as buckets
    where hour = any ($1)
    group by website_id, location_id, hour";

const BY_DAY: &str = "
    select website_id, location_id, day::timestamp at time zone 'UTC', total
    from response_times_daily
    where day >= $1 and website_id = any ($2)";

/// Reads what is drawn of these sites.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>, keys: &[Key]) -> Result<HashMap<Key, Plots>, Failure> {
    let wrong = |error: postgres::Error| explain("reading response times to draw", &error);
    let websites: Vec<i32> = keys.iter().map(|(website, _)| *website).collect();
    let span = reader.span.clone();
    let week_ago = span.day_ago - SignedDuration::from_hours(6 * 24);
    let hours = span.without_fresh(span.hours_from(week_ago));
    let (fresh_from, fresh_to) = span.fresh_stretch();
    let mut plots: HashMap<Key, Plots> = HashMap::new();
    let transaction = &mut reader.transaction;
    let mut rows = transaction
        .query_typed(
            BY_HOUR,
            &[
                (&hours, Type::TIMESTAMPTZ_ARRAY),
                (&websites, Type::INT4_ARRAY),
            ],
        )
        .map_err(wrong)?;
    rows.extend(
        transaction
            .query_typed(
                FRESH,
                &[
                    (&span.fresh, Type::TIMESTAMPTZ_ARRAY),
                    (&fresh_from, Type::TIMESTAMPTZ),
                    (&fresh_to, Type::TIMESTAMPTZ),
                    (&websites, Type::INT4_ARRAY),
                ],
            )
            .map_err(wrong)?,
    );
    for row in rows {
        let hour: Timestamp = row.get(2);
        let elements: Elements<'_> = row.get(3);
        let of_site = plots.entry((row.get(0), row.get(1))).or_default();
        if hour >= span.day_ago {
            of_site.day.entry(hour).or_default().add(elements.iter());
        }
        let step = hour.as_second().div_euclid(WEEK_STEP_S) * WEEK_STEP_S;
        if let Ok(step) = Timestamp::from_second(step) {
            of_site.week.entry(step).or_default().add(elements.iter());
        }
    }
    let rows = transaction
        .query_typed(
            BY_DAY,
            &[
                (&span.first_day(), Type::DATE),
                (&websites, Type::INT4_ARRAY),
            ],
        )
        .map_err(wrong)?;
    for row in rows {
        let elements: Elements<'_> = row.get(3);
        let of_site = plots.entry((row.get(0), row.get(1))).or_default();
        of_site
            .quarter
            .entry(row.get(2))
            .or_default()
            .add(elements.iter());
    }
    // Today is not over: its hours make its point.
    let today = midnight(span.today);
    for of_site in plots.values_mut() {
        let hours: Vec<Histogram> = of_site
            .day
            .range(today..)
            .map(|(_, one)| one.clone())
            .collect();
        if !hours.is_empty() {
            let point = of_site.quarter.entry(today).or_default();
            for hour in &hours {
                point.merge(hour);
            }
        }
    }
    Ok(plots)
}
