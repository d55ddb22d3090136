//! The sums that `maintain` keeps (`migrations/V27__trailing.sql`), and the days and hours by which they
//! differ from what is wanted: those are all that is read besides. Where no sums are kept, they differ
//! by all of it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::span::{Span, WINDOW_DAYS, WINDOWS, midnight};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Where the kept sums end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    /// The day after the last one; `None`: nothing is kept of days.
    pub(crate) day: Option<Date>,
    /// The hour after the last one; `None`: nothing is kept of hours.
    pub(crate) hour: Option<Timestamp>,
}

/// What a day or an hour counts in the wanted sums, less what it counts in the kept ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HourChange {
    /// Of the last 24 hours.
    pub(crate) of_24h: i64,
    /// Of its UTC day.
    pub(crate) of_day: i64,
}

/// Of each day that differs, in each of the windows; the first one is not made of days.
pub(crate) fn day_changes(span: &Span) -> BTreeMap<Date, [i64; WINDOWS]> {
    let mut changes: BTreeMap<Date, [i64; WINDOWS]> = BTreeMap::new();
    for window in 1..WINDOWS {
        let mut change = |day: Date, by: i64| {
            if let Some(change) = changes.entry(day).or_default().get_mut(window) {
                *change += by;
            }
        };
        let days_before = |end: Date| {
            let days = WINDOW_DAYS.get(window).copied().unwrap_or_default();
            (1..=days).map(move |ago| end.saturating_sub(ago.days()))
        };
        for day in days_before(span.today).filter(|day| !span.dirty_days.contains(day)) {
            change(day, 1);
        }
        for day in span.kept.day.into_iter().flat_map(days_before) {
            change(day, -1);
        }
    }
    changes.retain(|_, windows| windows.iter().any(|change| *change != 0));
    changes
}

/// Of each hour that differs and that the hourly rollups have all of.
pub(crate) fn hour_changes(span: &Span) -> BTreeMap<Timestamp, HourChange> {
    let mut changes: BTreeMap<Timestamp, HourChange> = BTreeMap::new();
    for hour in span.without_fresh(span.hours_from(span.day_ago)) {
        changes.entry(hour).or_default().of_24h += 1;
    }
    let of_dirty_days = span
        .dirty_days
        .iter()
        .flat_map(|day| span.hours_from(midnight(*day)).take(24));
    for hour in span.without_fresh(span.hours_from(midnight(span.today)).chain(of_dirty_days)) {
        changes.entry(hour).or_default().of_day += 1;
    }
    if let Some(end) = span.kept.hour {
        let day = kept_day(span);
        for hour in (1..=24).map(|ago| end - HOUR * ago) {
            let change = changes.entry(hour).or_default();
            change.of_24h -= 1;
            change.of_day -= i64::from(day == Some(day_of(hour)));
        }
    }
    changes.retain(|_, change| *change != HourChange::default());
    changes
}

/// The hours that differ in the sums of the last 24.
pub(crate) fn changes_of_24h(span: &Span) -> BTreeMap<Timestamp, i64> {
    hour_changes(span)
        .into_iter()
        .map(|(hour, change)| (hour, change.of_24h))
        .filter(|(_, change)| *change != 0)
        .collect()
}

/// The day that sums of hours are kept of; `None` as well when it is over and read from the daily
/// rollups.
pub(crate) fn kept_day(span: &Span) -> Option<Date> {
    let day = day_of(span.kept.hour? - HOUR);
    (day == span.today || span.dirty_days.contains(&day)).then_some(day)
}

fn day_of(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn span(now: &str, kept: Ends) -> Span {
        let now = at(now);
        Span {
            now,
            today: day_of(now),
            day_ago: super::super::span::hour_of(now) - HOUR * 24,
            fresh: vec![super::super::span::hour_of(now)],
            dirty_days: Vec::new(),
            waiting: 0,
            kept,
            summed: None,
        }
    }

    fn kept(day: Date, hour: &str) -> Ends {
        Ends {
            day: Some(day),
            hour: Some(at(hour)),
        }
    }

    #[test]
    fn sums_as_of_now_are_taken_as_they_are_and_without_any_all_is_read() {
        let now = "2026-03-10T12:30:00Z";
        let span_now = span(now, kept(date(2026, 3, 10), "2026-03-10T12:00:00Z"));
        assert!(day_changes(&span_now).is_empty());
        assert!(hour_changes(&span_now).is_empty());
        assert_eq!(kept_day(&span_now), Some(span_now.today));

        let without = span(now, Ends::default());
        let days = day_changes(&without);
        assert_eq!(days.len(), 90);
        assert_eq!(days.get(&date(2026, 3, 3)), Some(&[0, 1, 1, 1]));
        assert_eq!(days.get(&date(2026, 3, 2)), Some(&[0, 0, 1, 1]));
        assert_eq!(days.get(&date(2025, 12, 10)), Some(&[0, 0, 0, 1]));
        let hours = hour_changes(&without);
        assert_eq!(hours.len(), 24);
        assert_eq!(
            hours.values().filter(|change| change.of_day == 1).count(),
            12
        );
        assert_eq!(changes_of_24h(&without).len(), 24);
    }

    #[test]
    fn a_day_later_two_days_differ_in_each_window() {
        let span = span(
            "2026-03-11T00:03:00Z",
            kept(date(2026, 3, 10), "2026-03-10T23:00:00Z"),
        );
        let days = day_changes(&span);
        assert_eq!(
            days.into_iter().collect::<Vec<_>>(),
            [
                (date(2025, 12, 10), [0, 0, 0, -1]),
                (date(2026, 2, 8), [0, 0, -1, 0]),
                (date(2026, 3, 3), [0, -1, 0, 0]),
                (date(2026, 3, 10), [0, 1, 1, 1]),
            ]
        );
        // The day is read from the daily rollups: what its hours come to is not asked for.
        assert_eq!(kept_day(&span), None);
        let hour = |of_24h| HourChange { of_24h, of_day: 0 };
        assert_eq!(
            hour_changes(&span).into_iter().collect::<Vec<_>>(),
            [
                (at("2026-03-09T23:00:00Z"), hour(-1)),
                (at("2026-03-10T23:00:00Z"), hour(1)),
            ]
        );
    }

    #[test]
    fn days_and_hours_that_changed_are_taken_away() {
        let mut span = span(
            "2026-03-11T00:03:00Z",
            kept(date(2026, 3, 10), "2026-03-10T23:00:00Z"),
        );
        // Not rolled up yet, but for its last hour, of which the checks are read.
        span.fresh.push(at("2026-03-10T23:00:00Z"));
        span.dirty_days = vec![date(2026, 3, 10), date(2026, 3, 8)];
        let days = day_changes(&span);
        assert_eq!(days.get(&date(2026, 3, 8)), Some(&[0, -1, -1, -1]));
        assert_eq!(days.get(&date(2026, 3, 10)), None);
        assert_eq!(kept_day(&span), Some(date(2026, 3, 10)));
        let hours = hour_changes(&span);
        assert_eq!(hours.len(), 1 + 24);
        assert!(
            hours
                .iter()
                .filter(|(hour, _)| day_of(**hour) == date(2026, 3, 8))
                .all(|(_, change)| *change
                    == HourChange {
                        of_24h: 0,
                        of_day: 1
                    })
        );

        // A late check of today.
        span.fresh.push(at("2026-03-10T20:00:00Z"));
        assert_eq!(
            hour_changes(&span).get(&at("2026-03-10T20:00:00Z")),
            Some(&HourChange {
                of_24h: -1,
                of_day: -1
            })
        );
    }
}
