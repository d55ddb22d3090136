//! What rolling up an hour and a day have in common: which wait for it, who may, on what view of
//! the data, in which portions of the sites.

use jiff::civil::Date;
use postgres::types::{FromSqlOwned, ToSql, Type};
use postgres::{Client, Transaction};
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;

use crate::settings::Settings;

/// A parameter of a statement, with its type.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What became of an hour or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rolled {
    /// It is rolled up.
    Done,
    /// There was nothing to do, or another run has done it meanwhile.
    Nothing,
    /// Another run is at work.
    Busy,
}

/// Those to be rolled up: the first column of what the statement selects. `what` completes "reading
/// which … to roll up".
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn pending<T: FromSqlOwned>(
    client: &mut Client,
    settings: &Settings,
    what: &str,
    statement: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<T>, Failure> {
    let wrong =
        |error: postgres::Error| explain(&format!("reading which {what} to roll up"), &error);
    let rows = begin(client, &settings.database)
        .and_then(|mut transaction| transaction.query_typed(statement, parameters))
        .map_err(wrong)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Does the work of one in a transaction, unless another run is at work. `what` completes "rolling
/// up …".
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn roll_up(
    client: &mut Client,
    settings: &Settings,
    what: &str,
    work: impl Fn(&mut Transaction<'_>) -> Result<Rolled, postgres::Error>,
) -> Result<Rolled, Failure> {
    // A run that was quicker has left no marks for the next attempt.
    retried(|| {
        let mut transaction = begin(client, &settings.database)?;
        if !take(&mut transaction)? {
            return Ok(Rolled::Busy);
        }
        let rolled = work(&mut transaction)?;
        transaction.commit()?;
        Ok(rolled)
    })
    .map_err(|error| explain(&format!("rolling up {what}"), &error))
}

/// Prepares a transaction for rolling up; false when another run is at work.
///
/// One view of the data for all its statements: what is counted is then exactly what the marks
/// that are removed stood for. Waiting for the lock would make that view older than the lock, so
/// the run that comes second leaves the work to the first.
fn take(transaction: &mut Transaction<'_>) -> Result<bool, postgres::Error> {
    // What is evaluated is sorted and hashed in memory.
    transaction.batch_execute(
        "set transaction isolation level repeatable read;
         set local work_mem = '64MB'",
    )?;
    Ok(transaction
        .query_typed_one(
            "select pg_try_advisory_xact_lock(hashtextextended('sitewatch.maintain', 0))",
            &[],
        )?
        .get(0))
}

/// Makes the partitions that what is rolled up of a day lies in, if they are missing.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn make_partitions(
    transaction: &mut Transaction<'_>,
    day: Date,
) -> Result<(), postgres::Error> {
    transaction
        .query_typed(
            "select create_rollup_partitions($1, $1)",
            &[(&day, Type::DATE)],
        )
        .map(drop)
}

/// The websites in so many portions: for each the first number, and the one after its last.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn portions(
    transaction: &mut Transaction<'_>,
    number: i64,
) -> Result<Vec<(i32, i32)>, postgres::Error> {
    let last: i32 = transaction
        .query_typed_one("select coalesce(max(id), 0) from websites", &[])?
        .get(0);
    Ok(ranges(last, number))
}

/// The numbers from 0 to `last` in so many ranges or fewer.
fn ranges(last: i32, number: i64) -> Vec<(i32, i32)> {
    let length = i64::from(last) / number.max(1) + 1;
    let mut ranges = Vec::new();
    let mut first = 0;
    while first <= last {
        let after = i32::try_from(i64::from(first) + length).unwrap_or(i32::MAX);
        ranges.push((first, after));
        if after == i32::MAX {
            break;
        }
        first = after;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_every_number_once() {
        for (last, number, expected) in [
            (0, 1, vec![(0, 1)]),
            (9, 1, vec![(0, 10)]),
            (9, 3, vec![(0, 4), (4, 8), (8, 12)]),
            (2, 9, vec![(0, 1), (1, 2), (2, 3)]),
            (i32::MAX - 1, 1, vec![(0, i32::MAX)]),
            (i32::MAX - 1, 2, vec![(0, 1 << 30), (1 << 30, i32::MAX)]),
        ] {
            assert_eq!(ranges(last, number), expected, "{last} by {number}");
        }
    }
}
