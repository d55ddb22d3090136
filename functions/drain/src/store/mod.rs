//! The tables: what drains ask of them, and the transaction that records a batch (`commit.rs`).

mod binary;
mod checks;
mod commit;
mod connections;
mod days;
mod dead_letters;
mod dirty;
mod evidence;
mod limits;
mod names;
mod offsets;
mod partition_locks;
mod replay;
mod states;
mod zombies;

pub(crate) use checks::check_columns;
pub(crate) use commit::{Origin, Store, Topic};
pub(crate) use connections::{Connections, Shared};
pub(crate) use limits::Limits;
pub(crate) use offsets::{Stored, record_losses, stored};
pub(crate) use partition_locks::PartitionLocks;
pub(crate) use replay::{StoredDeadLetter, dead_letters_after};
pub(crate) use zombies::end_zombies;

use postgres::Transaction;

/// Runs `work` inside a savepoint; `Ok(None)` when PostgreSQL said that a key is there already.
fn unless_repeated<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error>,
) -> Result<Option<T>, postgres::Error> {
    let mut savepoint = transaction.transaction()?;
    match work(&mut savepoint) {
        Ok(value) => {
            savepoint.commit()?;
            Ok(Some(value))
        }
        Err(error) if error.code() == Some(&postgres::error::SqlState::UNIQUE_VIOLATION) => {
            savepoint.rollback()?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
