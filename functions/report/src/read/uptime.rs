//! How many of its checks found a site up, in each window, and how much of it they cover.

use std::collections::HashMap;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::coverage::{self, Watched};
use super::span::{Span, WINDOW_DAYS, WINDOWS};
use super::{Key, Parameter, Reader};

/// Counts in each of the windows; checks that could not be made and those in maintenance do not
/// count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uptime {
    up: [i64; WINDOWS],
    known: [i64; WINDOWS],
    /// The time that its checks cover, in milliseconds.
    covered: [i64; WINDOWS],
    /// The time that they should cover, likewise; nothing where that is not known.
    wanted: [i64; WINDOWS],
    watched: Option<Watched>,
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
    /// `None` where it is not known when that was.
    pub(crate) fn coverage(&self, window: usize) -> Option<f64> {
        let (covered, wanted) = (*self.covered.get(window)?, *self.wanted.get(window)?);
        (wanted > 0).then(|| (100.0 * covered as f64 / wanted as f64).min(100.0))
    }

    /// When it should have been looked at; `None`: that is not known.
    pub(crate) fn watched(&self) -> Option<Watched> {
        self.watched
    }

    /// Checks of the first window for slots that had one already; of the hours that are rolled up.
    pub(crate) fn duplicates(&self) -> i64 {
        self.duplicates
    }

    fn watch(&mut self, watched: Watched, span: &Span) {
        self.watched = Some(watched);
        for (window, wanted) in self.wanted.iter_mut().enumerate() {
            *wanted = watched.within(span.window_from(window), span.now);
        }
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

/// Counts of a site's day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) key: Key,
    /// Days before today.
    pub(crate) ago: i32,
    pub(crate) counts: Counts,
}

/// Reads the counts of every site, and hands each of its 90 days and today to `each_day`, in no
/// order. Without one, PostgreSQL adds the days up, which takes half the time.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    each_day: Option<&mut dyn FnMut(Day)>,
) -> Result<HashMap<Key, Uptime>, Failure> {
    let mut uptimes: HashMap<Key, Uptime> = HashMap::new();
    let counted = match each_day {
        None => add_sums(reader, &mut uptimes)
            .and_then(|()| add_recent(reader, &mut uptimes, &mut |_| ())),
        Some(each_day) => add_days(reader, &mut uptimes, each_day)
            .and_then(|()| add_recent(reader, &mut uptimes, each_day)),
    };
    let watched = counted.and_then(|()| coverage::read(reader));
    for (key, watched) in watched.map_err(|error| explain("counting checks", &error))? {
        uptimes.entry(key).or_default().watch(watched, &reader.span);
    }
    Ok(uptimes)
}

/// $1 today, $2 days that only their hours have all of, $3 the websites or null.
const DAYS: &str = "
    from checks_daily
    where day >= $1 - 90 and day < $1 and not (day = any ($2))
        and ($3::int4[] is null or website_id = any ($3))";

fn add_sums(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
) -> Result<(), postgres::Error> {
    // The statement names the windows one by one.
    const { assert!(WINDOW_DAYS[1] == 7 && WINDOW_DAYS[2] == 30 && WINDOW_DAYS[3] == 90) };
    let rows = reader.transaction.query_typed(
        &format!(
            "select website_id, location_id,
                coalesce(sum(up) filter (where day >= $1 - 7), 0)::int8,
                coalesce(sum(up) filter (where day >= $1 - 30), 0)::int8,
                sum(up)::int8,
                coalesce(sum(down) filter (where day >= $1 - 7), 0)::int8,
                coalesce(sum(down) filter (where day >= $1 - 30), 0)::int8,
                sum(down)::int8,
                coalesce(sum(covered_ms) filter (where day >= $1 - 7), 0)::int8,
                coalesce(sum(covered_ms) filter (where day >= $1 - 30), 0)::int8,
                coalesce(sum(covered_ms), 0)::int8
             {DAYS}
             group by website_id, location_id"
        ),
        &[
            (&reader.span.today, Type::DATE),
            (&reader.span.dirty_days, Type::DATE_ARRAY),
            (&reader.only, Type::INT4_ARRAY),
        ],
    )?;
    for row in rows {
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

fn add_days(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let (today, dirty, only) = (
        reader.span.today,
        reader.span.dirty_days.clone(),
        reader.only.clone(),
    );
    let parameters: [Parameter<'_>; 3] = [
        (&today, Type::DATE),
        (&dirty, Type::DATE_ARRAY),
        (&only, Type::INT4_ARRAY),
    ];
    // A row at a time: there are ninety of each site.
    let mut rows = reader.transaction.query_typed_raw(
        &format!(
            "select website_id, location_id, $1 - day, up, down, coalesce(covered_ms, 0) {DAYS}"
        ),
        parameters,
    )?;
    while let Some(row) = rows.next()? {
        let day = Day {
            key: (row.get(0), row.get(1)),
            ago: row.get(2),
            counts: Counts {
                up: row.get::<_, i32>(3).into(),
                down: row.get::<_, i32>(4).into(),
                covered_ms: row.get(5),
            },
        };
        uptimes.entry(day.key).or_default().add_day(&day);
        each_day(day);
    }
    Ok(())
}

/// What is not told by days that are over.
const RECENT: &str = include_str!("uptime_recent.sql");

fn add_recent(
    reader: &mut Reader<'_>,
    uptimes: &mut HashMap<Key, Uptime>,
    each_day: &mut dyn FnMut(Day),
) -> Result<(), postgres::Error> {
    let span = &reader.span;
    let hours = span.rolled_hours();
    let (fresh_from, fresh_to) = span.fresh_stretch();
    let rows = reader.transaction.query_typed(
        RECENT,
        &[
            (&span.day_ago, Type::TIMESTAMPTZ),
            (&hours, Type::TIMESTAMPTZ_ARRAY),
            (&span.today, Type::DATE),
            (&span.fresh, Type::TIMESTAMPTZ_ARRAY),
            (&fresh_from, Type::TIMESTAMPTZ),
            (&fresh_to, Type::TIMESTAMPTZ),
            (&reader.only, Type::INT4_ARRAY),
            (&span.dirty_days, Type::DATE_ARRAY),
        ],
    )?;
    // A day whose hours are partly in the first window comes in two parts, which add up.
    for row in rows {
        let day = Day {
            key: (row.get(0), row.get(1)),
            ago: row.get(2),
            counts: Counts {
                up: row.get(5),
                down: row.get(6),
                covered_ms: row.get(7),
            },
        };
        let uptime = uptimes.entry(day.key).or_default();
        if row.get(3) {
            uptime.add(0, day.counts);
            uptime.duplicates += row.get::<_, i64>(8);
        }
        if row.get(4) {
            uptime.add_day(&day);
            each_day(day);
        }
    }
    Ok(())
}
