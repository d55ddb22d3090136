//! When sites were down, for how long, why, and how it ended.

use jiff::{Timestamp, ToSpan as _};
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::cursor::Cursor;
use super::{Reader, every_row};
use crate::lines::IncidentLine;
use crate::output::{Each, Interrupted};
use crate::settings::Settings;

/// How far back, in hours, when nothing is said.
const USUAL_H: i64 = 30 * 24;

/// Where there are many, a few of the latest are found in a short stretch; after these all that is asked
/// for.
const STRETCHES_H: [i64; 2] = [24, 7 * 24];
/// The most lines that are a few.
const FEW: u64 = 1_000;

const QUERY: &str = include_str!("incidents.sql");

/// Incidents: those that go on first, then the latest.
pub(crate) struct Incidents(Cursor);

impl Incidents {
    /// Has the server put them together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let wrong = |error: postgres::Error| explain(DOING, &error);
        let now = reader.span.now;
        let since = settings
            .since
            .unwrap_or_else(|| now.checked_sub(USUAL_H.hours()).unwrap_or(now));
        let limit = i64::try_from(settings.lines).unwrap_or(i64::MAX);
        let open = ["down", "unknown", "unmonitored"]
            .into_iter()
            .any(|state| settings.filter.takes_state(state));
        let closed = settings.filter.takes_state("up");
        let mut stretches = STRETCHES_H.into_iter().filter(|_| settings.lines <= FEW);
        loop {
            let from = stretches
                .next()
                .and_then(|hours| now.checked_sub(hours.hours()).ok())
                .map_or(since, |from| from.max(since));
            let transaction = &mut reader.transaction;
            let cursor = Cursor::open(
                transaction,
                "incidents",
                QUERY,
                &[
                    (&from, Type::TIMESTAMPTZ),
                    (&reader.only, Type::INT4_ARRAY),
                    (&limit, Type::INT8),
                    (&open, Type::BOOL),
                    (&closed, Type::BOOL),
                    (&settings.stale_after.as_secs_f64(), Type::FLOAT8),
                ],
            )
            .map_err(wrong)?;
            // What ended before the stretch began as well: if the last line did not, none is missing.
            let is_full = cursor.rows() == settings.lines
                && cursor.last(transaction).map_err(wrong)?.is_none_or(|last| {
                    last.get::<_, Option<Timestamp>>(3).is_none()
                        || last.get::<_, Timestamp>(2) >= from
                });
            if is_full || from <= since {
                return Ok(Self(cursor));
            }
        }
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows()
    }

    /// Hands each on.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: Each<'_, IncidentLine>,
    ) -> Result<(), Interrupted> {
        let now = reader.span.now;
        every_row(reader, &self.0, DOING, &mut |row| {
            Ok(each(&incident(row, now))?)
        })
    }

    /// The first ones, at most so many.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn first(
        &self,
        reader: &mut Reader<'_>,
        at_most: u64,
    ) -> Result<Vec<IncidentLine>, Failure> {
        let now = reader.span.now;
        let transaction = &mut reader.transaction;
        self.0
            .go_to(transaction, 0)
            .and_then(|()| self.0.next(transaction, at_most))
            .map(|rows| rows.iter().map(|row| incident(row, now)).collect())
            .map_err(|error| explain(DOING, &error))
    }
}

const DOING: &str = "reading incidents";

fn incident(row: &Row, now: Timestamp) -> IncidentLine {
    let opened_at: Timestamp = row.get(2);
    let closed_at: Option<Timestamp> = row.get(3);
    let last_failed_at: Timestamp = row.get(5);
    let is_stale: bool = row.get(9);
    let (ended, until) = match closed_at {
        Some(closed_at) => ("recovered", closed_at),
        None if is_stale => ("unknown", last_failed_at),
        None => ("ongoing", now),
    };
    IncidentLine {
        site: row.get(0),
        location: row.get(1),
        opened_at,
        closed_at,
        duration_s: until.duration_since(opened_at).as_secs(),
        ended,
        outcome: row.get(6),
        error: row.get(7),
        checks: row.get(8),
        first_failed_at: row.get(4),
        last_failed_at,
    }
}
