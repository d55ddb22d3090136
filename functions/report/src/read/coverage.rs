//! For which time a site should have been looked at from a location: what the time that its checks
//! cover is compared with.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::{Key, Reader, trailing};

/// Schedulers and drains take their time: a site whose newest check is younger than this, or than
/// three intervals, is looked at still, as `reporting_limit` in the database has it.
const GRACE: SignedDuration = SignedDuration::from_mins(10);

/// The time for which a site should have been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The first slot of all.
    pub(crate) from: Timestamp,
    /// The end of what the newest check covers while checks come in, and now once they do not.
    pub(crate) until: Timestamp,
}

impl Watched {
    /// Of a site from its first slot on, by its newest check and how far apart its slots are.
    pub(super) fn new(
        from: Timestamp,
        newest: Timestamp,
        interval: SignedDuration,
        now: Timestamp,
    ) -> Self {
        let is_current = now.duration_since(newest) <= GRACE.max(interval * 3);
        Self {
            from,
            until: if is_current {
                newest
                    .saturating_add(interval)
                    .map_or(now, |end| end.min(now))
            } else {
                now
            },
        }
    }

    /// How much of it is in a stretch, in milliseconds.
    pub(crate) fn within(&self, from: Timestamp, until: Timestamp) -> i64 {
        between_ms(self.from.max(from), self.until.min(until))
    }
}

/// Milliseconds; none where the end is before the beginning.
pub(super) fn between_ms(from: Timestamp, until: Timestamp) -> i64 {
    i64::try_from(until.duration_since(from).as_millis()).map_or(0, |ms| ms.max(0))
}

/// Of each site and location for which it is known: whose newest check tells its interval.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<HashMap<Key, Watched>, postgres::Error> {
    let now = reader.span.now;
    let rows = reader.transaction.query_typed(
        "select website_id, location_id, first_scheduled_at, checked_at, interval_ms
         from website_states
         where first_scheduled_at is not null and interval_ms is not null
             and ($1::int4[] is null or website_id = any ($1))",
        &[(&reader.only, Type::INT4_ARRAY)],
    )?;
    Ok(rows
        .iter()
        .map(|row| {
            let interval = SignedDuration::from_millis(row.get::<_, i32>(4).into());
            let watched = Watched::new(row.get(2), row.get(3), interval, now);
            ((row.get(0), row.get(1)), watched)
        })
        .collect())
}

/// The part of the last 24 hours, as far as they are rolled up, that the checks of each site and
/// location cover, from 0 to 1: where it is known.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn of_rollups(reader: &mut Reader<'_>) -> Result<HashMap<Key, f64>, Failure> {
    let wrong = |error: postgres::Error| explain("reading how much was looked at", &error);
    let covered = covered_in_24h(reader).map_err(wrong)?;
    let watched = read(reader).map_err(wrong)?;
    let span = &reader.span;
    let hours = span.without_fresh(span.hours_from(span.day_ago));
    Ok(watched
        .into_iter()
        .filter_map(|(key, watched)| {
            let wanted: i64 = hours
                .iter()
                .map(|hour| watched.within(*hour, *hour + SignedDuration::from_hours(1)))
                .sum();
            let covered = covered.get(&key).copied().unwrap_or_default();
            (wanted > 0).then(|| (key, (covered as f64 / wanted as f64).min(1.0)))
        })
        .collect())
}

/// The time that the checks of the last 24 hours cover as far as they are rolled up, in milliseconds.
fn covered_in_24h(reader: &mut Reader<'_>) -> Result<HashMap<Key, i64>, postgres::Error> {
    let (mut added, mut taken) = (Vec::new(), Vec::new());
    for (hour, change) in trailing::changes_of_24h(&reader.span) {
        let hours = if change < 0 { &mut taken } else { &mut added };
        hours.push(hour);
    }
    let rows = reader.transaction.query_typed(
        "select website_id, location_id, sum(covered_ms)::int8
         from (
             select website_id, location_id, covered_ms_24h as covered_ms
             from trailing_hours
             where $1 and ($2::int4[] is null or website_id = any ($2))
             union all
             select website_id, location_id, case when hour = any ($4) then -covered_ms else covered_ms end
             from checks_hourly
             where hour = any ($3 || $4) and ($2::int4[] is null or website_id = any ($2))
         ) as parts
         group by website_id, location_id",
        &[
            (&reader.span.kept.hour.is_some(), Type::BOOL),
            (&reader.only, Type::INT4_ARRAY),
            (&added, Type::TIMESTAMPTZ_ARRAY),
            (&taken, Type::TIMESTAMPTZ_ARRAY),
        ],
    )?;
    Ok(rows
        .iter()
        .map(|row| {
            let covered: Option<i64> = row.get(2);
            ((row.get(0), row.get(1)), covered.unwrap_or_default())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + minutes * 60).unwrap()
    }

    #[test]
    fn what_has_not_been_drained_yet_is_no_hole_and_what_stopped_is_one() {
        let minute = SignedDuration::from_mins(1);
        let watched = |newest| Watched::new(at(0), at(newest), minute, at(100));
        assert_eq!(watched(97).until, at(98));
        assert_eq!(watched(90).until, at(91));
        assert_eq!(watched(89).until, at(100));
        let hourly = Watched::new(at(0), at(70), minute * 60, at(100));
        assert_eq!(hourly.until, at(100));
    }

    #[test]
    fn a_stretch_counts_as_far_as_the_site_was_watched() {
        let watched = Watched {
            from: at(10),
            until: at(50),
        };
        for (from, until, minutes) in [
            (0, 60, 40),
            (20, 60, 30),
            (0, 20, 10),
            (50, 60, 0),
            (0, 5, 0),
        ] {
            assert_eq!(watched.within(at(from), at(until)), minutes * 60_000);
        }
    }
}
