//! The period that an availability objective is for: whole hours, usually a calendar month.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use sitewatch::settings::{Reader, parse, var};

use crate::read::span::{hour_of, midnight};

/// From a whole hour to another one, or to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: Timestamp,
    /// May be ahead: the period goes on then.
    pub(crate) until: Timestamp,
}

impl Period {
    /// From REPORT_SINCE to REPORT_UNTIL. With neither, the calendar month that goes on; with the
    /// first alone, until now.
    pub(crate) fn new(since: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Self {
        let month = month_of(now);
        let next = midnight(month.saturating_add(1.month()));
        Self {
            from: hour_of(since.unwrap_or_else(|| midnight(month))),
            until: match (since, until) {
                (_, Some(until)) => hour_of(until),
                (Some(_), None) => now,
                (None, None) => next,
            },
        }
    }

    /// Reads its end, and adds a problem where that is not after its beginning.
    pub(crate) fn read(reader: &mut Reader, since: Option<Timestamp>, now: Timestamp) -> Self {
        let until = reader.optional(&var::REPORT_UNTIL, |text| time(text, now));
        let period = Self::new(since, until, now);
        if period.until <= period.from {
            reader.problem(
                var::REPORT_UNTIL.name,
                format!(
                    "is {}, which is not after the period's beginning, {}; wants a later time",
                    period.until, period.from
                ),
            );
        }
        period
    }
}

/// The first day of a time's month.
fn month_of(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date().first_of_month()
}

/// A time, a UTC day or month (its beginning), the word for such a month, or a duration before now.
pub(crate) fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let month = month_of(now);
    let day = match text.to_ascii_lowercase().as_str() {
        "this-month" => Some(month),
        "last-month" => Some(month.saturating_sub(1.month())),
        day => day.parse().or_else(|_| format!("{day}-01").parse()).ok(),
    };
    if let Some(day) = day {
        return Ok(midnight(day));
    }
    let ago = parse::positive_duration(text)?;
    SignedDuration::try_from(ago)
        .ok()
        .and_then(|ago| now.checked_sub(ago).ok())
        .ok_or_else(|| "too long ago".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_is_a_duration_a_time_a_day_or_a_month() {
        let now = at("2026-03-01T12:00:00Z");
        for (text, expected) in [
            ("24h", "2026-02-28T12:00:00Z"),
            ("2026-01-31T08:00:00+01:00", "2026-01-31T07:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2025-11", "2025-11-01T00:00:00Z"),
            ("this-month", "2026-03-01T00:00:00Z"),
            (" Last-Month ", "2026-02-01T00:00:00Z"),
        ] {
            assert_eq!(time(text, now), Ok(at(expected)), "{text}");
        }
        for text in [
            "yesterday",
            "0s",
            "-1h",
            "99999999d",
            "2026-13",
            "2026-02-30",
        ] {
            let read = time(text, now);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }

    #[test]
    fn a_period_is_the_month_that_goes_on_unless_another_is_asked_for() {
        let now = at("2026-12-05T10:30:00Z");
        let of = |since: Option<&str>, until: Option<&str>| {
            let Period { from, until } = Period::new(since.map(at), until.map(at), now);
            (from.to_string(), until.to_string())
        };
        let expect = |from: &str, until: &str| (from.to_owned(), until.to_owned());
        assert_eq!(
            of(None, None),
            expect("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
        );
        assert_eq!(
            of(Some("2026-12-04T10:30:00Z"), None),
            expect("2026-12-04T10:00:00Z", "2026-12-05T10:30:00Z")
        );
        assert_eq!(
            of(Some("2026-11-01T00:00:00Z"), Some("2026-12-01T00:20:00Z")),
            expect("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
        );
    }
}
