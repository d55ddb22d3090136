//! Dead letters that are tried again.

use std::collections::HashSet;

use postgres::Transaction;
use postgres::types::Type;
use sitewatch::event::MAX_EVENT;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use super::connections::Shared;
use crate::batch::Batch;
use crate::decode::DeadLetter;
use crate::filling::MAX_BUFFERED;

/// A dead letter's id, and its value as far as an event can have one so long.
pub(crate) type StoredDeadLetter = (i64, Option<Vec<u8>>);

/// The next dead letters after one, oldest first: at most `limit`, and no more than fit into memory.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn dead_letters_after(
    client: &Shared,
    settings: &DatabaseSettings,
    after: i64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let longest = i64::try_from(MAX_EVENT).unwrap_or(i64::MAX);
    let room = i64::try_from(MAX_BUFFERED).unwrap_or(i64::MAX);
    let read = || {
        begin(&mut client.lock(), settings)?.query_typed(
            include_str!("replay_next.sql"),
            &[
                (&after, Type::INT8),
                (&limit, Type::INT8),
                (&room, Type::INT8),
                (&longest, Type::INT8),
            ],
        )
    };
    let rows = read().map_err(|error| explain("reading dead letters", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Removes the dead letters of a batch that are recorded now. `refused` are not.
pub(super) fn remove_recorded(
    transaction: &mut Transaction<'_>,
    batch: &Batch,
    refused: &[(i32, DeadLetter)],
) -> Result<(), postgres::Error> {
    let refused: HashSet<i64> = refused.iter().map(|(_, it)| it.offset).collect();
    // Those that are no events still are not among the rows.
    let recorded: Vec<i64> = batch
        .originals()
        .into_iter()
        .flatten()
        .map(|(_, original)| original.offset)
        .filter(|id| !refused.contains(id))
        .collect();
    transaction.execute_typed(
        "delete from dead_letters where id = any($1)",
        &[(&recorded, Type::INT8_ARRAY)],
    )?;
    Ok(())
}
