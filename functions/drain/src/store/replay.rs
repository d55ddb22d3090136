//! Dead letters, tried again.

use std::collections::HashSet;

use postgres::types::Type;
use sitewatch::event::MAX_EVENT;
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;

use super::connections::lock;
use super::{Store, names_were_forgotten};
use crate::batch::{Batch, MAX_BUFFERED, Origin, Record};
use crate::row::Known;
use crate::summary::Counters;

/// What became of some dead letters.
pub(crate) struct Tried {
    /// The newest of them, by `dead_letters.id`.
    pub(crate) last: i64,
    /// Recorded, recorded before, and still dead letters.
    pub(crate) counters: Counters,
}

impl Store {
    /// Tries the next dead letters after one, at most `limit` and no more than fit into memory;
    /// `None` when there are none. Two runs at once do no harm: what one recorded is a repeat to the
    /// other.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used; nothing is changed then.
    pub(crate) fn replay(
        &mut self,
        after: i64,
        limit: usize,
        known: &mut Known,
    ) -> Result<Option<Tried>, Failure> {
        let tried = retried(|| self.try_replay(after, limit, known))
            .map_err(|error| explain("trying dead letters again", &error))?;
        tried.ok_or_else(names_were_forgotten)
    }

    /// `None` when names were forgotten since the run began.
    fn try_replay(
        &mut self,
        after: i64,
        limit: usize,
        known: &mut Known,
    ) -> Result<Option<Option<Tried>>, postgres::Error> {
        let mut client = lock(&self.client);
        let mut transaction = begin(&mut client, &self.settings)?;
        if !self.memory.limits.names_are_valid(&mut transaction, "")? {
            return Ok(None);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let longest = i64::try_from(MAX_EVENT).unwrap_or(i64::MAX);
        let room = i64::try_from(MAX_BUFFERED).unwrap_or(i64::MAX);
        let dead_letters = transaction.query_typed(
            // An earlier release kept values of any length; what no event can have is not looked at,
            // and stays.
            "select id, value
                 from (
                     select id, value,
                         sum(size) over (order by id) - size as before
                     from (
                         select id,
                             case when octet_length(value) <= $4 then value end as value,
                             case when octet_length(value) <= $4 then octet_length(value) else 0 end
                                 as size
                         from dead_letters where id > $1 order by id limit $2
                     ) as following
                 ) as following
                 where before < $3 order by id",
            &[
                (&after, Type::INT8),
                (&limit, Type::INT8),
                (&room, Type::INT8),
                (&longest, Type::INT8),
            ],
        )?;
        let Some(last) = dead_letters.last() else {
            return Ok(Some(None));
        };
        let last = last.get(0);
        // Its id stands for the offset: what becomes a dead letter again keeps its row.
        let mut batch = Batch::starting_at(Origin::Stdin, after).with_originals();
        for dead_letter in &dead_letters {
            batch.add(
                &Record {
                    offset: dead_letter.get(0),
                    key: None,
                    value: dead_letter.get(1),
                    timestamp_ms: None,
                },
                known,
                std::iter::empty(),
            );
        }
        let recording = self
            .memory
            .record(&mut transaction, &batch)?
            .expect("a batch that keeps its messages is not refused whole");
        let still_dead: HashSet<i64> = batch
            .dead_letters
            .iter()
            .chain(&recording.refused)
            .map(|dead_letter| dead_letter.offset)
            .collect();
        let gone: Vec<i64> = dead_letters
            .iter()
            .map(|dead_letter| dead_letter.get(0))
            .filter(|id| !still_dead.contains(id))
            .collect();
        transaction.execute_typed(
            "delete from dead_letters where id = any($1)",
            &[(&gone, Type::INT8_ARRAY)],
        )?;
        transaction.commit()?;
        Ok(Some(Some(Tried {
            last,
            counters: self.memory.remember(recording),
        })))
    }
}
