//! Which hours and days statistics are taken from, and from which table each.
//!
//! A day that is over is read from the daily rollups, the running one and those that wait to be
//! added up again from the hourly ones, and the hours that those lack from the checks themselves.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use postgres::Transaction;

use super::trailing::Ends;

/// The longest that statistics by day go back, in days.
pub(crate) const DAYS: i32 = 90;

/// The windows that uptimes are told for, in the order of [`WINDOW_DAYS`].
pub(crate) const WINDOWS: usize = 4;

/// Days before today that each window but the first begins; the first is 24 whole hours and the
/// running one.
pub(crate) const WINDOW_DAYS: [i32; WINDOWS] = [1, 7, 30, DAYS];

/// Now, and what is where.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) now: Timestamp,
    /// The UTC day.
    pub(crate) today: Date,
    /// When 24 whole hours and the running one begin.
    pub(crate) day_ago: Timestamp,
    /// Hours that only the checks have all of.
    pub(crate) fresh: Vec<Timestamp>,
    /// Days of the last 90 that only their hours have all of; not today.
    pub(crate) dirty_days: Vec<Date>,
    /// Hours older than the fresh ones that wait to be rolled up.
    pub(crate) waiting: i64,
    /// Where the sums that `maintain` keeps end.
    pub(crate) kept: Ends,
    /// The fresh hour that is added up in part, and until when.
    pub(crate) summed: Option<(Timestamp, Timestamp)>,
}

impl Span {
    /// Asks the database.
    pub(crate) fn read(transaction: &mut Transaction<'_>) -> Result<Self, postgres::Error> {
        let row = transaction.query_typed_one(include_str!("span.sql"), &[])?;
        let now: Timestamp = row.get(0);
        let this_hour = hour_of(now);
        Ok(Self {
            now,
            today: TimeZone::UTC.to_datetime(now).date(),
            day_ago: this_hour - SignedDuration::from_hours(24),
            fresh: row.get(1),
            dirty_days: row.get(2),
            waiting: row.get(3),
            kept: Ends {
                day: row.get(4),
                hour: row.get(5),
            },
            summed: row
                .get::<_, Option<Timestamp>>(6)
                .zip(row.get::<_, Option<Timestamp>>(7)),
        })
    }

    /// The first of the days that statistics go back to.
    pub(crate) fn first_day(&self) -> Date {
        self.today.saturating_sub(DAYS.days())
    }

    /// How many days before today a day is.
    pub(crate) fn days_ago(&self, day: Date) -> i32 {
        let ago = self.today.duration_since(day).as_hours() / 24;
        i32::try_from(ago).unwrap_or(i32::MAX)
    }

    /// When a window begins.
    pub(crate) fn window_from(&self, window: usize) -> Timestamp {
        match WINDOW_DAYS.get(window) {
            Some(days) if window > 0 => midnight(self.today.saturating_sub(days.days())),
            _ => self.day_ago,
        }
    }

    /// Hours from `from` to the running one.
    pub(crate) fn hours_from(&self, from: Timestamp) -> impl Iterator<Item = Timestamp> {
        let now = self.now;
        std::iter::successors(Some(hour_of(from)), |hour| {
            hour.checked_add(SignedDuration::from_hours(1)).ok()
        })
        .take_while(move |hour| *hour <= now)
    }

    /// These hours as far as the hourly rollups have all of them.
    pub(crate) fn without_fresh(
        &self,
        hours: impl IntoIterator<Item = Timestamp>,
    ) -> Vec<Timestamp> {
        hours
            .into_iter()
            .filter(|hour| !self.fresh.contains(hour))
            .collect()
    }

    /// From when on a fresh hour has to be read from its checks.
    pub(crate) fn read_from(&self, hour: Timestamp) -> Timestamp {
        self.summed
            .filter(|(of_hour, _)| *of_hour == hour)
            .map_or(hour, |(_, until)| until)
    }

    /// The first fresh hour and the end of the last one; an empty stretch when there is none.
    pub(crate) fn fresh_stretch(&self) -> (Timestamp, Timestamp) {
        match (self.fresh.iter().min(), self.fresh.iter().max()) {
            (Some(first), Some(last)) => (*first, *last + SignedDuration::from_hours(1)),
            _ => (self.now, self.now),
        }
    }
}

/// When a UTC day begins.
pub(crate) fn midnight(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC)
        .map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

/// When the hour of a time begins.
pub(crate) fn hour_of(time: Timestamp) -> Timestamp {
    let seconds = time.as_second().div_euclid(3_600) * 3_600;
    Timestamp::from_second(seconds).unwrap_or(time)
}
