//! Writing a batch: rows, dead letters, states and the moved offset in one transaction.
//!
//! The offset is moved first, and only from the value the batch began at. A drain that is fenced
//! (a zombie, retried, run twice) therefore finds nothing to move and writes nothing: exactly once
//! rests on this line and on no lock.

use std::sync::Arc;

use postgres::Transaction;
use sitewatch::postgres::{Cancel, begin, explain, retried};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use super::connections::Shared;
use super::days::Days;
use super::limits::Limits;
use super::names::Names;
use super::states::KnownStates;
use super::{checks, dead_letters, dirty, evidence, offsets, replay};
use crate::batch::Batch;
use crate::decode::{DeadLetter, Row};
use crate::finish::Counters;
use crate::write::{Commit, Committed, Interrupt};

/// One connection's view of the database.
pub(crate) struct Store {
    client: Shared,
    settings: DatabaseSettings,
    origin: Origin,
    memory: Memory,
}

/// Where batches come from.
pub(crate) enum Origin {
    /// A topic: a batch moves the offset of its partition.
    Topic(Topic),
    /// Lines, which have no offset.
    Stdin,
    /// Dead letters, tried again: those that are recorded leave their table.
    DeadLetters,
}

/// What a run drains.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    /// The broker's id of it; `None` where there is none.
    pub(crate) id: Option<String>,
}

/// A check with the ids of its site and location.
pub(crate) struct Keyed<'a> {
    /// Its position in the batch, before sorting.
    pub(crate) position: usize,
    pub(crate) website_id: i32,
    pub(crate) location_id: i16,
    /// The row's `checked_at` as the table has it, in microseconds since 1970; here, because a sort
    /// that had to look into each row would mostly wait for memory.
    pub(crate) checked_at_us: i64,
    pub(crate) row: &'a Row,
}

impl Store {
    /// A store over a connection.
    pub(crate) fn new(
        client: Shared,
        settings: DatabaseSettings,
        origin: Origin,
        limits: Arc<Limits>,
    ) -> Self {
        Self {
            client,
            settings,
            origin,
            memory: Memory {
                limits,
                days: Days::default(),
                states: KnownStates::default(),
            },
        }
    }

    /// Writes it in one transaction. What an attempt that failed found out is not remembered.
    /// `None` when names were forgotten since the run began.
    fn try_commit(&mut self, batch: &Batch) -> Result<Option<Committed>, postgres::Error> {
        let mut client = self.client.lock();
        let mut transaction = begin(&mut client, &self.settings)?;
        // If this drain becomes a zombie here, others wait for it no longer than for a statement.
        let idle = format!(
            "set local idle_in_transaction_session_timeout = {};",
            self.settings.statement_timeout.as_millis()
        );
        if !self
            .memory
            .limits
            .names_are_valid(&mut transaction, &idle)?
        {
            return Ok(None);
        }
        if let Origin::Topic(topic) = &self.origin {
            let fenced = offsets::advance(&mut transaction, topic, batch)?;
            if !fenced.is_empty() {
                return Ok(Some(Committed::Fenced(fenced)));
            }
        }
        // Dropping the transaction rolls it back.
        let Some(recording) = self.memory.record(&mut transaction, batch)? else {
            // The reason may be a day that was dropped since it was seen.
            self.memory.days = Days::default();
            return Ok(Some(Committed::Refused));
        };
        if let Origin::DeadLetters = self.origin {
            replay::remove_recorded(&mut transaction, batch, &recording.refused)?;
        } else {
            let topic = match &self.origin {
                Origin::Topic(topic) => Some(topic.name.as_str()),
                Origin::Stdin | Origin::DeadLetters => None,
            };
            let refused = recording
                .refused
                .iter()
                .map(|(partition, it)| (*partition, it));
            let dead_letters: Vec<_> = batch.dead_letters().chain(refused).collect();
            dead_letters::insert(&mut transaction, topic, &dead_letters)?;
        }
        transaction.commit()?;
        Ok(Some(Committed::Written(self.memory.remember(recording))))
    }
}

impl Commit for Store {
    /// If the connection broke during the commit, the batch may be recorded with its offset: the
    /// next run sees.
    fn commit(&mut self, batch: &Batch) -> Result<Committed, Failure> {
        let committed = retried(|| self.try_commit(batch))
            .map_err(|error| explain("recording checks", &error))?;
        committed.ok_or_else(names_were_forgotten)
    }

    fn interrupt(&self) -> Interrupt {
        let cancel = Cancel::new(&self.client.lock(), &self.settings);
        Arc::new(move || cancel.clone().cancel())
    }
}

/// What is known to be in the database.
struct Memory {
    limits: Arc<Limits>,
    days: Days,
    states: KnownStates,
}

/// A batch that is written but not yet committed: a rollback takes new sites, days and states with
/// it, so none of them may be remembered before.
struct Recording {
    counters: Counters,
    /// Messages whose row PostgreSQL refused, or whose names are too many, with their partitions.
    refused: Vec<(i32, DeadLetter)>,
    names: Names,
    days: Vec<jiff::civil::Date>,
    states: Vec<(i32, i16)>,
}

impl Memory {
    /// Writes a batch's rows and the states they bring. `None` when PostgreSQL refuses a row and
    /// the batch does not have the messages: the transaction is then of no more use.
    fn record(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch,
    ) -> Result<Option<Recording>, postgres::Error> {
        let mut recording = Recording {
            counters: Counters {
                batches: 1,
                dead_letters: batch.dead_letters().count() as u64,
                ..Counters::default()
            },
            refused: Vec::new(),
            names: Names::new(&self.limits),
            days: Vec::new(),
            states: Vec::new(),
        };
        let rows: Vec<&Row> = batch.rows().collect();
        if rows.is_empty() {
            return Ok(Some(recording));
        }
        let originals = batch.originals();
        recording
            .names
            .resolve(transaction, &self.limits.max, &rows)?;
        let mut refused = recording.names.refused(&rows);
        if !refused.is_empty() && originals.is_none() {
            return Ok(None);
        }
        // With the messages at hand a refused row becomes a dead letter, which it must not for a day
        // that was dropped since it was seen.
        recording.days = if originals.is_some() {
            Days::default().make(transaction, &rows)?
        } else {
            self.days.make(transaction, &rows)?
        };
        let mut keyed = recording.names.keyed(&rows);
        // In the key's order: neighbours in the index are written together, and repeats within the
        // batch stand side by side.
        keyed.sort_unstable_by_key(key);
        keyed.dedup_by_key(|check| key(check));
        let recorded = if let Some(originals) = originals {
            let recorded = checks::insert_what_fits(transaction, &keyed, &mut refused)?;
            keyed.retain(|check| !refused.iter().any(|(at, _)| *at == check.position));
            recording
                .refused
                .extend(refused.into_iter().filter_map(|(at, reason)| {
                    let (partition, original) = *originals.get(at)?;
                    let original = original.clone();
                    Some((partition, DeadLetter { reason, ..original }))
                }));
            recorded
        } else {
            match checks::insert(transaction, &keyed) {
                Ok(recorded) => recorded,
                Err(error) if checks::is_refusal(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let refused = recording.refused.len() as u64;
        recording.counters.recorded = recorded;
        recording.counters.dead_letters += refused;
        recording.counters.repeated = rows.len() as u64 - recorded - refused;
        if recorded > 0 {
            dirty::mark(transaction, &keyed)?;
            evidence::insert(transaction, &keyed)?;
        }
        recording.states = self.states.update(transaction, &keyed)?;
        Ok(Some(recording))
    }

    /// Keeps, now that it is committed, what the batch brought.
    fn remember(&mut self, recording: Recording) -> Counters {
        recording.names.remember();
        self.days.remember(recording.days);
        self.states.remember(recording.states);
        recording.counters
    }
}

fn key(check: &Keyed<'_>) -> (i32, i64, i16) {
    (check.website_id, check.checked_at_us, check.location_id)
}

fn names_were_forgotten() -> Failure {
    Failure::Unfinished(
        "maintain forgot sites or locations that nothing named for long, while this run remembered ids; the rest is left to the next run, which asks for them anew".to_owned(),
    )
}
