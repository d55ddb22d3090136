//! The daily partitions that rows need.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use postgres::Transaction;
use postgres::types::Type;

use crate::decode::Row;

/// Days whose partition is known to be there.
#[derive(Default)]
pub(super) struct Days(BTreeSet<Date>);

impl Days {
    /// Makes the days that rows need and that are not known to be there; returns them, to be
    /// remembered once the transaction is committed.
    pub(super) fn make(
        &self,
        transaction: &mut Transaction<'_>,
        rows: &[&Row],
    ) -> Result<Vec<Date>, postgres::Error> {
        let mut previous = None;
        let mut needed = BTreeSet::new();
        for row in rows {
            // Neighbours are mostly of one day: comparing seconds is cheaper than a calendar.
            let day = row.checked_at.as_second().div_euclid(86_400);
            if previous != Some(day) {
                previous = Some(day);
                needed.insert(TimeZone::UTC.to_datetime(row.checked_at).date());
            }
        }
        let new: Vec<Date> = needed.difference(&self.0).copied().collect();
        for day in &new {
            transaction.query_typed(
                "select create_check_partitions($1, $1)",
                &[(day, Type::DATE)],
            )?;
        }
        Ok(new)
    }

    pub(super) fn remember(&mut self, days: Vec<Date>) {
        self.0.extend(days);
    }
}
