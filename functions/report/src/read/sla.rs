//! What of a promised uptime was kept: downtime from the incidents, coverage from the rollups.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::coverage::{Watched, between_ms};
use super::cursor::Cursor;
use super::span::{Span, midnight};
use super::{Reader, every_row};
use crate::badge::{self, Badge};
use crate::lines::SlaLine;
use crate::output::{Each, Interrupted};
use crate::period::Period;
use crate::settings::Settings;
use crate::wording::Words;

const QUERY: &str = include_str!("sla.sql");

const DOING: &str = "reading what of the promised uptime was kept";

/// A line for each group, then one for each site, what was down the longest first.
pub(crate) struct Promises {
    cursor: Cursor,
    groups: BTreeMap<Option<String>, Statistics>,
    promise: Promise,
}

/// What was promised, and how far it can be told.
#[derive(Clone, Copy, Debug)]
struct Promise {
    period: Period,
    /// As a percentage.
    target: f64,
    now: Timestamp,
    /// Where what is told ends: with the period, now at the latest.
    told_until: Timestamp,
    /// Since when incidents are kept.
    kept_from: Timestamp,
}

/// What is known of one site or of several, added up; milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    sites: u64,
    sites_met: u64,
    monitored_ms: i64,
    /// The time that the promise is for: until the end of the period, though that be ahead.
    promised_ms: i64,
    incidents: i64,
    down_s: i64,
    /// The time that checks should cover, where that is known, and what they cover of it.
    wanted_ms: i64,
    covered_ms: i64,
    /// Whether it is not known of a site that was monitored when it should have been looked at.
    is_coverage_unknown: bool,
}

impl Promises {
    /// Has the server put them together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let wrong = |error: postgres::Error| explain(DOING, &error);
        let period = settings.period;
        let told_until = period.until.min(reader.span.now);
        let promise = Promise {
            period,
            target: settings.target,
            now: reader.span.now,
            told_until,
            kept_from: kept_from(reader, period).map_err(wrong)?,
        };
        if promise.kept_from > period.from {
            log::warn!(
                "incidents are kept since {} only, and nothing is told of the time before: see MAINTAIN_KEEP_HOURLY",
                promise.kept_from
            );
        }
        let sources = Sources::of(&reader.span, period.from, told_until);
        let cursor = Cursor::open(
            &mut reader.transaction,
            "sla",
            QUERY,
            &[
                (&period.from, Type::TIMESTAMPTZ),
                (&told_until, Type::TIMESTAMPTZ),
                (&reader.only, Type::INT4_ARRAY),
                (&settings.group_by, Type::TEXT),
                (&settings.stale_after.as_secs_f64(), Type::FLOAT8),
                (&sources.days.start, Type::DATE),
                (&sources.days.end, Type::DATE),
                (&reader.span.dirty_days, Type::DATE_ARRAY),
                (&sources.hours, Type::TIMESTAMPTZ_ARRAY),
                (&sources.fresh, Type::TIMESTAMPTZ_ARRAY),
                (&sources.fresh_stretch.start, Type::TIMESTAMPTZ),
                (&sources.fresh_stretch.end, Type::TIMESTAMPTZ),
            ],
        )
        .map_err(wrong)?;
        let mut groups: BTreeMap<Option<String>, Statistics> = BTreeMap::new();
        if settings.group_by.is_some() {
            let read = every_row(reader, &cursor, DOING, &mut |row| {
                let statistics = promise.statistics(&Observed::of(row, promise.now));
                groups.entry(row.get(1)).or_default().add(statistics);
                Ok(())
            });
            if let Err(Interrupted::Reading(failure)) = read {
                return Err(failure);
            }
        }
        Ok(Self {
            cursor,
            groups,
            promise,
        })
    }

    /// How many sites there are.
    pub(crate) fn sites(&self) -> u64 {
        self.cursor.rows()
    }

    /// Hands each line on.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: Each<'_, SlaLine>,
    ) -> Result<(), Interrupted> {
        for line in self.groups() {
            each(&line)?;
        }
        every_row(reader, &self.cursor, DOING, &mut |row| {
            Ok(each(&self.site(row))?)
        })
    }

    /// The lines of the groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = SlaLine> {
        self.groups
            .iter()
            .map(|(label, statistics)| self.promise.line(*statistics, None, label.clone()))
    }

    /// The lines of the first sites, at most so many.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn first_sites(
        &self,
        reader: &mut Reader<'_>,
        at_most: u64,
    ) -> Result<Vec<SlaLine>, Failure> {
        let transaction = &mut reader.transaction;
        let mut lines = Vec::new();
        let wrong = |error: postgres::Error| explain(DOING, &error);
        self.cursor.go_to(transaction, 0).map_err(wrong)?;
        while (lines.len() as u64) < at_most {
            let left = at_most - lines.len() as u64;
            let rows = self.cursor.next(transaction, left).map_err(wrong)?;
            if rows.is_empty() {
                break;
            }
            lines.extend(rows.iter().map(|row| self.site(row)));
        }
        Ok(lines)
    }

    /// The badge of the only site.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and unless there is one site.
    pub(crate) fn badge(&self, reader: &mut Reader<'_>, words: &Words) -> Result<Badge, Failure> {
        let sites = self.first_sites(reader, 2)?;
        match sites.as_slice() {
            [only] => Ok(Badge::uptime(
                only.site.as_deref().unwrap_or_default(),
                only.uptime,
                only.target,
                words,
            )),
            _ => Err(badge::not_of_one(self.sites())),
        }
    }

    fn site(&self, row: &Row) -> SlaLine {
        let statistics = self
            .promise
            .statistics(&Observed::of(row, self.promise.now));
        self.promise.line(statistics, Some(row.get(0)), row.get(1))
    }
}

/// Since when the incidents of a period are kept: its beginning, unless checks from before the
/// oldest hour there is have been counted by day.
fn kept_from(reader: &mut Reader<'_>, period: Period) -> Result<Timestamp, postgres::Error> {
    let row = reader.transaction.query_typed_one(
        "select coalesce(
             (
                 select oldest.hour
                 from (
                     select least(min(hour), (select min(hour) from unnest($2::timestamptz[]) as hour)) as hour
                     from checks_hourly
                 ) as oldest
                 where exists (
                     select from checks_daily
                     where day >= ($1 at time zone 'UTC')::date
                         and day < (oldest.hour at time zone 'UTC')::date
                 )
             ),
             $1
         )",
        &[
            (&period.from, Type::TIMESTAMPTZ),
            (&reader.span.fresh, Type::TIMESTAMPTZ_ARRAY),
        ],
    )?;
    Ok(row.get(0))
}

/// Which part of a stretch is read from which table.
struct Sources {
    days: std::ops::Range<jiff::civil::Date>,
    hours: Vec<Timestamp>,
    fresh: Vec<Timestamp>,
    fresh_stretch: std::ops::Range<Timestamp>,
}

impl Sources {
    fn of(span: &Span, from: Timestamp, until: Timestamp) -> Self {
        let day = |time| TimeZone::UTC.to_datetime(time).date();
        let first = match day(from) {
            whole if midnight(whole) == from => whole,
            begun => begun.tomorrow().unwrap_or(begun),
        };
        let end = day(until).max(first);
        let is_by_day = |hour: Timestamp| {
            let day = day(hour);
            (first..end).contains(&day) && !span.dirty_days.contains(&day)
        };
        let hours = span
            .hours_from(from)
            .take_while(|hour| *hour < until)
            .filter(|hour| !is_by_day(*hour));
        let fresh: Vec<Timestamp> = span
            .fresh
            .iter()
            .copied()
            .filter(|hour| (from..until).contains(hour))
            .collect();
        let stretch = match (fresh.iter().min(), fresh.iter().max()) {
            (Some(first), Some(last)) => *first..*last + SignedDuration::from_hours(1),
            _ => from..from,
        };
        Self {
            days: first..end,
            hours: span.without_fresh(hours),
            fresh,
            fresh_stretch: stretch,
        }
    }
}

/// What the database has of a site.
struct Observed {
    first_known_at: Option<Timestamp>,
    /// Its newest check, where that is so old that nothing is known since.
    stopped_at: Option<Timestamp>,
    watched: Option<Watched>,
    incidents: i64,
    down_s: i64,
    covered_ms: i64,
}

impl Observed {
    fn of(row: &Row, now: Timestamp) -> Self {
        let newest: Option<Timestamp> = row.get(3);
        let slots: (Option<Timestamp>, Option<Timestamp>, Option<i32>) =
            (row.get(5), row.get(6), row.get(7));
        Self {
            first_known_at: row.get(2),
            stopped_at: newest.filter(|_| row.get(4)),
            watched: match slots {
                (Some(first), Some(newest), Some(interval_ms)) => {
                    let interval = SignedDuration::from_millis(interval_ms.into());
                    Some(Watched::new(first, newest, interval, now))
                }
                _ => None,
            },
            incidents: row.get(8),
            down_s: row.get(9),
            covered_ms: row.get(10),
        }
    }
}

impl Promise {
    fn statistics(&self, site: &Observed) -> Statistics {
        let from = self.period.from.max(self.kept_from);
        // Never checked: nothing is promised of it.
        let begins = site.first_known_at.unwrap_or(Timestamp::MAX).max(from);
        let stopped_at = site.stopped_at.unwrap_or(Timestamp::MAX);
        let monitored_ms = between_ms(begins, self.told_until.min(stopped_at));
        let wanted_ms = site
            .watched
            .map_or(0, |watched| watched.within(from, self.told_until));
        let mut statistics = Statistics {
            sites: 1,
            sites_met: 0,
            monitored_ms,
            promised_ms: between_ms(begins, self.period.until.min(stopped_at)),
            incidents: site.incidents,
            down_s: site.down_s,
            wanted_ms,
            covered_ms: site.covered_ms.min(wanted_ms),
            is_coverage_unknown: monitored_ms > 0 && site.watched.is_none(),
        };
        statistics.sites_met = u64::from(self.is_met(&statistics) == Some(true));
        statistics
    }

    /// Milliseconds that the sites may be down for.
    fn budget_ms(&self, statistics: &Statistics) -> i64 {
        (statistics.promised_ms as f64 * (100.0 - self.target) / 100.0).round() as i64
    }

    /// `None`: that is not known, because the period goes on or because nobody looked for longer than
    /// the sites may still be down for.
    fn is_met(&self, statistics: &Statistics) -> Option<bool> {
        let left_ms = self.budget_ms(statistics) - statistics.down_s * 1_000;
        let is_over = self.period.until <= self.told_until;
        if statistics.monitored_ms == 0 {
            None
        } else if left_ms < 0 {
            Some(false)
        } else {
            let is_certain = statistics.uncovered_ms().is_some_and(|ms| ms <= left_ms);
            (is_over && is_certain).then_some(true)
        }
    }

    fn line(&self, statistics: Statistics, site: Option<String>, group: Option<String>) -> SlaLine {
        let budget_ms = self.budget_ms(&statistics);
        SlaLine {
            scope: if site.is_some() { "site" } else { "group" },
            site,
            group,
            from: self.period.from.max(self.kept_from),
            until: self.period.until,
            sites: statistics.sites,
            sites_met: statistics.sites_met,
            monitored_s: statistics.monitored_ms / 1_000,
            uptime: share(
                statistics.monitored_ms - statistics.down_s * 1_000,
                statistics.monitored_ms,
            ),
            downtime_s: statistics.down_s,
            incidents: statistics.incidents,
            coverage: share(statistics.covered_ms, statistics.wanted_ms),
            uncovered_s: statistics.uncovered_ms().map(|ms| ms / 1_000),
            target: self.target,
            budget_s: budget_ms / 1_000,
            budget_left_s: (budget_ms - statistics.down_s * 1_000).div_euclid(1_000),
            met: self.is_met(&statistics),
        }
    }
}

impl Statistics {
    fn add(&mut self, other: Self) {
        self.sites += other.sites;
        self.sites_met += other.sites_met;
        self.monitored_ms += other.monitored_ms;
        self.promised_ms += other.promised_ms;
        self.incidents += other.incidents;
        self.down_s += other.down_s;
        self.wanted_ms += other.wanted_ms;
        self.covered_ms += other.covered_ms;
        self.is_coverage_unknown |= other.is_coverage_unknown;
    }

    /// For how long nobody looked who should have; `None`: that is not known.
    fn uncovered_ms(&self) -> Option<i64> {
        (!self.is_coverage_unknown).then_some(self.wanted_ms - self.covered_ms)
    }
}

/// As a percentage; `None` of nothing.
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| (100.0 * part as f64 / whole as f64).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_020 + minutes * 60).unwrap()
    }

    /// A thousand minutes of which 990 were promised, looked at until now.
    fn promise(now: i64) -> Promise {
        Promise {
            period: Period {
                from: at(0),
                until: at(1_000),
            },
            target: 99.0,
            now: at(now),
            told_until: at(now.min(1_000)),
            kept_from: at(0),
        }
    }

    fn observed(down: i64, covered: i64) -> Observed {
        Observed {
            first_known_at: Some(at(-5)),
            stopped_at: None,
            watched: Some(Watched {
                from: at(-5),
                until: at(2_000),
            }),
            incidents: 1,
            down_s: down * 60,
            covered_ms: covered * 60_000,
        }
    }

    #[test]
    fn a_promise_is_kept_when_even_what_nobody_saw_would_not_break_it() {
        for (now, down, covered, met) in [
            (2_000, 0, 1_000, Some(true)),
            (2_000, 10, 1_000, Some(true)),
            (2_000, 11, 1_000, Some(false)),
            (2_000, 4, 994, Some(true)),
            (2_000, 4, 993, None),
            // It goes on.
            (500, 4, 500, None),
            (500, 11, 500, Some(false)),
        ] {
            let promise = promise(now);
            let statistics = promise.statistics(&observed(down, covered));
            assert_eq!(promise.is_met(&statistics), met, "{now} {down} {covered}");
            assert_eq!(promise.budget_ms(&statistics), 600_000);
        }
        let unseen = Observed {
            watched: None,
            ..observed(0, 0)
        };
        let promise = promise(2_000);
        assert_eq!(promise.is_met(&promise.statistics(&unseen)), None);
    }

    #[test]
    fn a_site_counts_from_its_first_check_to_its_last() {
        let promise = promise(2_000);
        let late = Observed {
            first_known_at: Some(at(600)),
            stopped_at: Some(at(800)),
            ..observed(2, 1_000)
        };
        let line = promise.line(promise.statistics(&late), Some("shop".to_owned()), None);
        assert_eq!((line.monitored_s, line.budget_s), (200 * 60, 120));
        assert_eq!((line.budget_left_s, line.uptime), (0, Some(99.0)));
        let never = Observed {
            first_known_at: None,
            watched: None,
            ..observed(0, 0)
        };
        let line = promise.line(promise.statistics(&never), Some("new".to_owned()), None);
        assert_eq!((line.monitored_s, line.uptime, line.met), (0, None, None));
    }

    #[test]
    fn whole_days_are_read_by_day_and_what_is_left_by_hour() {
        let time = |text: &str| -> Timestamp { text.parse().unwrap() };
        let now = time("2026-03-10T12:30:00Z");
        let span = Span {
            now,
            today: jiff::civil::date(2026, 3, 10),
            day_ago: time("2026-03-09T12:00:00Z"),
            fresh: vec![time("2026-03-10T11:00:00Z"), time("2026-03-10T12:00:00Z")],
            dirty_days: vec![jiff::civil::date(2026, 3, 8)],
            waiting: 0,
        };
        let sources = Sources::of(&span, time("2026-03-06T22:00:00Z"), now);
        assert_eq!(sources.days.start, jiff::civil::date(2026, 3, 7));
        assert_eq!(sources.days.end, jiff::civil::date(2026, 3, 10));
        // The end of the first day, the one that waits, and today until it is fresh.
        assert_eq!(sources.hours.len(), 2 + 24 + 11);
        assert_eq!(sources.fresh, span.fresh);
        assert_eq!(sources.fresh_stretch.end, time("2026-03-10T13:00:00Z"));
        let month = Sources::of(
            &span,
            time("2026-02-01T00:00:00Z"),
            time("2026-03-01T00:00:00Z"),
        );
        assert!(month.hours.is_empty() && month.fresh.is_empty());
    }
}
