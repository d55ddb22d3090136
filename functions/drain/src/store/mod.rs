//! Writing a batch: rows, dead letters, states and the moved offset in one transaction.
//!
//! The offset is moved first, and only from the value the batch began at. A drain that was
//! overtaken (frozen, retried, run twice) therefore finds nothing to move and writes nothing:
//! exactly once rests on this line and on no lock.

mod checks;
mod days;
mod dead_letters;
mod names;
mod offsets;
mod states;

pub(crate) use offsets::{begin_partitions, claim, record_losses, stored};

use postgres::{Client, Transaction};
use sitewatch::postgres::{Cancel, begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use crate::batch::{Batch, DeadLetter, Origin};
use crate::row::Row;
use crate::summary::Figures;
use days::Days;
use names::Names;
use states::KnownStates;

/// One connection's view of the database.
pub(crate) struct Store {
    client: Client,
    settings: DatabaseSettings,
    topic: Option<String>,
    days: Days,
    states: KnownStates,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is recorded.
    Committed(Figures),
    /// Another drain moved the partition first: nothing was written, and this run must leave the
    /// partition alone.
    Overtaken,
    /// PostgreSQL refuses a row of it and the messages were not kept: nothing was written, and the
    /// batch must be read again with them.
    Refused,
}

/// A check with the ids of its site and place.
pub(crate) struct Keyed<'a> {
    /// Its position in the batch, before sorting.
    pub(crate) position: usize,
    pub(crate) website_id: i32,
    pub(crate) location_id: i16,
    pub(crate) row: &'a Row,
}

impl Store {
    /// A store over a connection of its own; `topic` is `None` when events come from a pipe.
    pub(crate) fn new(client: Client, settings: DatabaseSettings, topic: Option<String>) -> Self {
        Self {
            client,
            settings,
            topic,
            days: Days::default(),
            states: KnownStates::default(),
        }
    }

    /// For a watcher that must interrupt a statement.
    pub(crate) fn cancel(&self) -> Cancel {
        Cancel::new(&self.client, &self.settings)
    }

    /// Writes a batch, all of it or nothing.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used; the batch is then not recorded, or, if the connection broke
    /// during the commit, recorded with its offset: the next run sees which.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<Written, Failure> {
        let wrong = |error: postgres::Error| explain("recording checks", &error);
        let mut transaction = begin(&mut self.client, &self.settings).map_err(wrong)?;
        if let (Origin::Partition(partition), Some(topic)) = (batch.origin, &self.topic)
            && !offsets::advance(&mut transaction, topic, partition, batch).map_err(wrong)?
        {
            return Ok(Written::Overtaken);
        }
        let mut names = Names::default();
        let mut figures = Figures {
            batches: 1,
            dead: batch.dead.len() as u64,
            ..Figures::default()
        };
        let mut dead: Vec<DeadLetter> = Vec::new();
        let mut new_days = Vec::new();
        let mut new_states = Vec::new();
        if !batch.rows.is_empty() {
            names
                .resolve(&mut transaction, &batch.rows)
                .map_err(wrong)?;
            new_days = self
                .days
                .make(&mut transaction, &batch.rows)
                .map_err(wrong)?;
            let mut keyed = names.keyed(&batch.rows);
            // In the key's order: neighbours in the index are written together, and repeats within
            // the batch stand side by side.
            keyed.sort_unstable_by_key(key);
            keyed.dedup_by_key(|check| key(check));
            if let Some(originals) = &batch.originals {
                let mut refused = Vec::new();
                figures.recorded = checks::insert_what_fits(&mut transaction, &keyed, &mut refused)
                    .map_err(wrong)?;
                keyed.retain(|check| !refused.iter().any(|(at, _)| *at == check.position));
                figures.dead += refused.len() as u64;
                figures.repeated =
                    batch.rows.len() as u64 - figures.recorded - refused.len() as u64;
                dead.extend(refused.into_iter().filter_map(|(at, reason)| {
                    let original = originals.get(at)?.clone();
                    Some(DeadLetter { reason, ..original })
                }));
            } else {
                match checks::insert(&mut transaction, &keyed) {
                    Ok(recorded) => figures.recorded = recorded,
                    // The error has ended the transaction; dropping it rolls back.
                    Err(error) if checks::is_refusal(&error) => return Ok(Written::Refused),
                    Err(error) => return Err(wrong(error)),
                }
                figures.repeated = batch.rows.len() as u64 - figures.recorded;
            }
            new_states = self
                .states
                .update(&mut transaction, &keyed)
                .map_err(wrong)?;
        }
        dead.extend(batch.dead.iter().cloned());
        dead_letters::insert(&mut transaction, self.topic.as_deref(), batch.origin, &dead)
            .map_err(wrong)?;
        transaction.commit().map_err(wrong)?;

        // Only what is committed may be remembered: a rollback takes new sites, days and states
        // with it.
        names.remember();
        self.days.remember(new_days);
        self.states.remember(new_states);
        Ok(Written::Committed(figures))
    }
}

fn key(check: &Keyed<'_>) -> (i32, jiff::Timestamp, i16) {
    (check.website_id, check.row.checked_at, check.location_id)
}

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
