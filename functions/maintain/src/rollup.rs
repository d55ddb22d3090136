//! What rolling up an hour and a day have in common: who may, on what view of the data, in which
//! portions.

use postgres::Transaction;
use postgres::types::{ToSql, Type};

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

/// Sites that one statement adds up. Bounds what PostgreSQL holds in memory and how long a
/// statement takes: a few seconds for sites checked once a minute.
const PORTION: i32 = 10_000;

/// Prepares a transaction for rolling up; false when another run is at work.
///
/// One view of the data for all its statements: what is counted is then exactly what the marks
/// that are removed stood for. Waiting for the lock would make that view older than the lock, so
/// the run that comes second leaves the work to the first.
pub(crate) fn take(transaction: &mut Transaction<'_>) -> Result<bool, postgres::Error> {
    // A portion is sorted and hashed in memory; compiling what runs once costs more than it saves.
    transaction.batch_execute(
        "set transaction isolation level repeatable read;
         set local work_mem = '64MB';
         set local jit = off",
    )?;
    Ok(transaction
        .query_typed_one(
            "select pg_try_advisory_xact_lock(hashtextextended('sitewatch.maintain', 0))",
            &[],
        )?
        .get(0))
}

/// Runs statements whose last two parameters are the first website of a portion and the one after
/// its last, once for each portion of the websites.
pub(crate) fn by_portions(
    transaction: &mut Transaction<'_>,
    statements: &[&str],
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<(), postgres::Error> {
    let last: i32 = transaction
        .query_typed_one("select coalesce(max(id), 0) from websites", &[])?
        .get(0);
    let mut first: i32 = 0;
    while first <= last {
        let after = first.saturating_add(PORTION);
        let mut all = parameters.to_vec();
        all.push((&first, Type::INT4));
        all.push((&after, Type::INT4));
        for statement in statements {
            transaction.execute_typed(statement, &all)?;
        }
        if after == i32::MAX {
            break;
        }
        first = after;
    }
    Ok(())
}
