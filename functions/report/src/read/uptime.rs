//! How many of its checks found a site up, in each window, and how much of it they cover.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::coverage::Watched;
use super::span::{DAYS, Span, WINDOW_DAYS, WINDOWS};
use super::trailing::{self, HourChange};
use super::{Key, Parameter, Reader, fresh};
use crate::histogram::{Elements, Histogram};

/// Counts in each of the windows; checks that could not be made and those in maintenance do not
/// count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uptime {
    up: [i64; WINDOWS],
    known: [i64; WINDOWS],
    /// The time that its checks cover, in milliseconds.
    covered: [i64; WINDOWS],
    duplicates: i64,
}

impl Uptime {
    /// Percentage of the checks that found the site up; `None` without checks.
    pub(crate) fn percentage(&self, window: usize) -> Option<f64> {
        let (up, known) = (*self.up.get(window)?, self.known(window));
        (known > 0).then(|| 100.0 * up as f64 / known as f64)
    }

    /// The checks that count.
    pub(crate) fn known(&self, window: usize) -> i64 {
        self.known.get(window).copied().unwrap_or_default()
    }

    /// Percentage of the time in which the site should have been looked at that its checks cover;
    /// `None` when that was no part of the window.
    pub(crate) fn coverage(&self, window: usize, watched: Watched, span: &Span) -> Option<f64> {
        let covered = *self.covered.get(window)?;
        let wanted = watched.within(span.window_from(window), span.now);
        (wanted > 0).then(|| (100.0 * covered as f64 / wanted as f64).min(100.0))
    }

    /// Checks of the first window for slots that had one already; of the hours that are rolled up.
    pub(crate) fn duplicates(&self) -> i64 {
        self.duplicates
    }

    fn add(&mut self, window: usize, counts: Counts) {
        if let (Some(up), Some(known), Some(covered)) = (
            self.up.get_mut(window),
            self.known.get_mut(window),
            self.covered.get_mut(window),
        ) {
            *up += counts.up;
            *known += counts.up + counts.down;
            *covered += counts.covered_ms;
        }
    }

    /// Adds a day to the windows that it is in; the first one is not made of days.
    fn add_day(&mut self, day: &Day) {
        for (window, days) in WINDOW_DAYS.into_iter().enumerate().skip(1) {
            if day.ago <= days {
                self.add(window, day.counts);
            }
        }
    }
}

/// What checks found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) up: i64,
    pub(crate) down: i64,
    /// The time that they cover, in milliseconds.
    pub(crate) covered_ms: i64,
}

impl Counts {
    /// So often; below nothing to take them away.
    fn times(self, factor: i64) -> Self {
        Self {
            up: self.up * factor,
            down: self.down * factor,
            covered_ms: self.covered_ms * factor,
        }
    }
}

/// Counts of a site's day, or a part of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) key: Key,
    /// Days before today.
    pub(crate) ago: i32,
    pub(crate) counts: Counts,
}

/// Reads the counts of every site, and hands each of its 90 days and today to `each_day`, in no order
/// and in parts that add up: what takes away comes after what it is taken from. Of the hours that are
/// read from checks, the response times are added to `response_times`.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    each_day: Option<&mut dyn FnMut(Day)>,
    response_times: &mut HashMap<Key, Histogram>,
) -> Result<HashMap<Key, Uptime>, Failure> {
    let mut uptimes: HashMap<Key, Uptime> = HashMap::new();
    add_all(reader, &mut uptimes, each_day, response_times)
        .map_err(|error| explain("counting checks", &error))?;
    Ok(uptimes)
}

fn add_all(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: Option<&mut dyn FnMut(Day)>,
    response_times: &mut HashMap<Key, Histogram>,
) -> Result<(), postgres::Error> {
    let has_days = each_day.is_some();
    let mut nobody = |_| ();
    let each_day = each_day.unwrap_or(&mut nobody);
    if reader.span.kept.day.is_some() {
        add_kept_sums(reader, uptimes)?;
        if has_days {
            hand_on_kept_days(reader, each_day)?;
        }
    }
    add_days(reader, uptimes, each_day)?;
    if reader.span.kept.hour.is_some() {
        add_kept_hours(reader, uptimes, each_day)?;
    }
    add_hours(reader, uptimes, each_day)?;
    add_fresh(reader, uptimes, response_times, each_day)
}

fn add_kept_sums(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
) -> Result<(), postgres::Error> {
    // The statement names the windows one by one.
    const { assert!(WINDOW_DAYS[1] == 7 && WINDOW_DAYS[2] == 30 && WINDOW_DAYS[3] == 90) };
    let only = reader.only.clone();
    let parameters: [Parameter<'_>; 1] = [(&only, Type::INT4_ARRAY)];
    let mut rows = reader.transaction.query_typed_raw(
        "select website_id, location_id, up_7d, up_30d, up_90d, down_7d, down_30d, down_90d,
             covered_ms_7d, covered_ms_30d, covered_ms_90d
         from trailing_days
         where $1::int4[] is null or website_id = any ($1)",
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let uptime = uptimes.entry((row.get(0), row.get(1))).or_default();
        for window in 1..WINDOWS {
            let column = |of: usize| row.get(1 + of * (WINDOWS - 1) + window);
            let counts = Counts {
                up: column(0),
                down: column(1),
                covered_ms: column(2),
            };
            uptime.add(window, counts);
        }
    }
    Ok(())
}

/// Those of the kept days that are wanted.
fn hand_on_kept_days(
    reader: &mut Reader<'_>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let (today, end, dirty) = (
        reader.span.today,
        reader.span.kept.day,
        reader.span.dirty_days.clone(),
    );
    let only = reader.only.clone();
    let parameters: [Parameter<'_>; 4] = [
        (&only, Type::INT4_ARRAY),
        (&today, Type::DATE),
        (&end, Type::DATE),
        (&dirty, Type::DATE_ARRAY),
    ];
    let mut rows = reader.transaction.query_typed_raw(
        "select website_id, location_id, days_ago, up, down, covered_ms,
             $2 - $3, array(select $3 - day from unnest($4::date[]) as day)
         from trailing_days
         where $1::int4[] is null or website_id = any ($1)",
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0), row.get(1));
        let (days_ago, up, down): (Elements<'_>, Elements<'_>, Elements<'_>) =
            (row.get(2), row.get(3), row.get(4));
        let covered_ms: Vec<i64> = row.get(5);
        let later: i32 = row.get(6);
        let dirty: Vec<i32> = row.get(7);
        let counts = up.iter().zip(down.iter()).zip(covered_ms);
        for (ago, ((up, down), covered_ms)) in days_ago.iter().zip(counts) {
            if (1..=DAYS).contains(&(ago + later)) && !dirty.contains(&ago) {
                each_day(Day {
                    key,
                    ago: ago + later,
                    counts: Counts {
                        up: up.into(),
                        down: down.into(),
                        covered_ms,
                    },
                });
            }
        }
    }
    Ok(())
}

/// The days by which the kept sums differ.
fn add_days(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let changes = trailing::day_changes(&reader.span);
    if changes.is_empty() {
        return Ok(());
    }
    let days: Vec<Date> = changes.keys().copied().collect();
    let (today, only) = (reader.span.today, reader.only.clone());
    let parameters: [Parameter<'_>; 3] = [
        (&only, Type::INT4_ARRAY),
        (&days, Type::DATE_ARRAY),
        (&today, Type::DATE),
    ];
    // A row at a time: there may be ninety of each site.
    let mut rows = reader.transaction.query_typed_raw(
        "select website_id, location_id, day, $3 - day, up, down, coalesce(covered_ms, 0)
         from checks_daily
         where day = any ($2) and ($1::int4[] is null or website_id = any ($1))",
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let day = Day {
            key: (row.get(0), row.get(1)),
            ago: row.get(3),
            counts: Counts {
                up: row.get::<_, i32>(4).into(),
                down: row.get::<_, i32>(5).into(),
                covered_ms: row.get(6),
            },
        };
        let Some(windows) = changes.get(&row.get(2)) else {
            continue;
        };
        let uptime = uptimes.entry(day.key).or_default();
        for (window, change) in windows.iter().enumerate() {
            uptime.add(window, day.counts.times(*change));
        }
        // Of the kept days only those that are wanted were handed on.
        if windows.last().is_some_and(|change| *change > 0) {
            each_day(day);
        }
    }
    Ok(())
}

fn add_kept_hours(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let ago = trailing::kept_day(&reader.span).map(|day| reader.span.days_ago(day));
    let only = reader.only.clone();
    let parameters: [Parameter<'_>; 1] = [(&only, Type::INT4_ARRAY)];
    let mut rows = reader.transaction.query_typed_raw(
        "select website_id, location_id, up_24h, down_24h, covered_ms_24h, duplicates_24h,
             up_of_day, down_of_day, covered_ms_of_day
         from trailing_hours
         where $1::int4[] is null or website_id = any ($1)",
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0), row.get(1));
        let counts = |first| Counts {
            up: row.get(first),
            down: row.get(first + 1),
            covered_ms: row.get(first + 2),
        };
        let uptime = uptimes.entry(key).or_default();
        uptime.add(0, counts(2));
        uptime.duplicates += row.get::<_, i64>(5);
        if let Some(ago) = ago {
            let day = Day {
                key,
                ago,
                counts: counts(6),
            };
            uptime.add_day(&day);
            each_day(day);
        }
    }
    Ok(())
}

/// The hours that the hourly rollups have all of and by which the kept sums differ.
const BY_HOUR: &str = "
    select hour, website_id, location_id, up::int8, down::int8, coalesce(covered_ms, 0),
        coalesce(duplicates, 0)::int8
    from checks_hourly
    where hour = any ($2) and ($1::int4[] is null or website_id = any ($1))";

fn add_hours(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let span = reader.span.clone();
    let only = reader.only.clone();
    let changes = trailing::hour_changes(&span);
    let hours: Vec<Timestamp> = changes.keys().copied().collect();
    if hours.is_empty() {
        return Ok(());
    }
    let parameters: [Parameter<'_>; 2] =
        [(&only, Type::INT4_ARRAY), (&hours, Type::TIMESTAMPTZ_ARRAY)];
    let mut rows = reader.transaction.query_typed_raw(BY_HOUR, parameters)?;
    while let Some(row) = rows.next()? {
        let hour: Timestamp = row.get(0);
        let Some(change) = changes.get(&hour) else {
            continue;
        };
        let key = (row.get(1), row.get(2));
        let counts = Counts {
            up: row.get(3),
            down: row.get(4),
            covered_ms: row.get(5),
        };
        add_hour(&span, uptimes, each_day, (hour, key, counts), *change);
        let uptime = uptimes.entry(key).or_default();
        uptime.duplicates += row.get::<_, i64>(6) * change.of_24h;
    }
    Ok(())
}

/// Hours that only the checks have all of.
fn add_fresh(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    response_times: &mut HashMap<Key, Histogram>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let span = reader.span.clone();
    fresh::read(reader, &mut |fresh| {
        // Its day is today or waits to be added up again.
        let change = HourChange {
            of_24h: i64::from(fresh.hour >= span.day_ago),
            of_day: 1,
        };
        let counted = (fresh.hour, fresh.key, fresh.counts);
        add_hour(&span, uptimes, each_day, counted, change);
        if let Some(elements) = fresh.response_times
            && change.of_24h == 1
        {
            let histogram = response_times.entry(fresh.key).or_default();
            histogram.add(elements.iter());
        }
    })
}

fn add_hour(
    span: &Span,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: &mut dyn FnMut(Day),
    (hour, key, counts): (Timestamp, Key, Counts),
    change: HourChange,
) {
    let uptime = uptimes.entry(key).or_default();
    uptime.add(0, counts.times(change.of_24h));
    if change.of_day != 0 {
        let day = Day {
            key,
            ago: span.days_ago(TimeZone::UTC.to_datetime(hour).date()),
            counts: counts.times(change.of_day),
        };
        uptime.add_day(&day);
        each_day(day);
    }
}
