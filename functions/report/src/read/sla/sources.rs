//! Which part of a period is read from which table.

use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::read::span::{Span, midnight};

/// The days, hours and checks that make up a stretch of time, each read from one table.
pub(super) struct Sources {
    /// From the daily rollups, but for days whose hours are newer.
    pub(super) days: Range<Date>,
    /// From the hourly rollups.
    pub(super) hours: Vec<Timestamp>,
    /// Hours that are read from their checks.
    pub(super) fresh: Vec<Timestamp>,
    /// From what is not added up of the first of these to the end of the last.
    pub(super) fresh_stretch: Range<Timestamp>,
}

impl Sources {
    pub(super) fn of(span: &Span, from: Timestamp, until: Timestamp) -> Self {
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
            (Some(first), Some(last)) => {
                span.read_from(*first)..*last + SignedDuration::from_hours(1)
            }
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

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::read::trailing::Ends;

    #[test]
    fn whole_days_are_read_by_day_and_what_is_left_by_hour() {
        let time = |text: &str| -> Timestamp { text.parse().unwrap() };
        let now = time("2026-03-10T12:30:00Z");
        let span = Span {
            now,
            today: date(2026, 3, 10),
            day_ago: time("2026-03-09T12:00:00Z"),
            fresh: vec![time("2026-03-10T11:00:00Z"), time("2026-03-10T12:00:00Z")],
            dirty_days: vec![date(2026, 3, 8)],
            waiting: 0,
            kept: Ends::default(),
            summed: None,
        };
        let sources = Sources::of(&span, time("2026-03-06T22:00:00Z"), now);
        assert_eq!(sources.days.start, date(2026, 3, 7));
        assert_eq!(sources.days.end, date(2026, 3, 10));
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
