//! Messages that could not be recorded before, tried again after a fix or an upgrade.

use std::sync::Arc;
use std::time::Duration;
use std::vec;

use parking_lot::Mutex;
use sitewatch::postgres::{check_schema, connect};
use sitewatch::run::{Exit, Failure, Progress, Run, Summary};
use sitewatch::settings::DatabaseSettings;
use sitewatch_kafka::Range;

use crate::decode::{Decoder, Window};
use crate::filling::Filling;
use crate::ledger::Ledger;
use crate::pump::Pump;
use crate::read::{Message, Polled, Source};
use crate::settings::Settings;
use crate::store::{self, Limits, Origin, Shared, Store, check_columns};
use crate::write::Writers;

/// Dead letters are one partition, and their ids its offsets.
const ALL_DEAD_LETTERS: Range = Range {
    partition: 0,
    next: 0,
    end: i64::MAX,
};

/// Tries every dead letter once, oldest first; those that can be recorded now are, and leave the
/// table in the same transaction. Two runs at once do no harm: what one recorded is a repeat to the
/// other.
///
/// # Errors
/// When PostgreSQL cannot be used; what was tried before stays done.
pub(crate) fn drain(settings: &Settings, run: &Run) -> Result<Summary, Failure> {
    let mut client = connect(&settings.database, "drain")?;
    check_schema(&mut client)?;
    check_columns(&mut client, &settings.database)?;
    let decoder = Decoder::new(Window::read(&mut client, &settings.database)?);
    let client = Arc::new(Mutex::new(client));
    let store = Store::new(
        Arc::clone(&client),
        settings.database.clone(),
        Origin::DeadLetters,
        Arc::new(Limits::new(settings.max_names)),
    );
    let mut filling = Filling::new(settings.batch_size, 1).with_originals();
    filling.begin(&[ALL_DEAD_LETTERS]);
    let stop = settings.stop(run);
    let mut pump = Pump {
        decoder,
        filling,
        writers: Writers::start(vec![store]),
        ledger: Ledger::without_plan(),
        progress: Progress::none(),
        stop: stop.clone(),
    };
    let ended = pump.run(&mut DeadLetters {
        client,
        settings: settings.database.clone(),
        limit: settings.batch_size,
        page: Vec::new().into_iter(),
        last: (0, None),
        ended: false,
    });
    let (ledger, stopped) = pump.finish(ended, &stop);
    let counters = ledger.counters();
    let (recorded, repeated, left) = (counters.recorded, counters.repeated, counters.dead_letters);
    Ok(match stopped? {
        Some(why) => Summary::done(
            format!("{recorded} dead letters recorded; stopped by {why} before the end"),
            vec![("recorded", recorded), ("repeated", repeated)],
        )
        .exiting(Exit::Unfinished),
        None => Summary::done(
            format!(
                "{recorded} dead letters recorded, {repeated} were recorded already, {left} cannot be recorded still"
            ),
            vec![
                ("recorded", recorded),
                ("repeated", repeated),
                ("dead_letters", left),
            ],
        ),
    })
}

/// The table, page by page.
struct DeadLetters {
    client: Shared,
    settings: DatabaseSettings,
    /// The most of a page.
    limit: usize,
    page: vec::IntoIter<store::StoredDeadLetter>,
    /// The one that was returned last.
    last: store::StoredDeadLetter,
    ended: bool,
}

impl Source for DeadLetters {
    fn poll(&mut self, _wait: Duration) -> Result<Option<Polled<'_>>, Failure> {
        if self.page.as_slice().is_empty() {
            let page =
                store::dead_letters_after(&self.client, &self.settings, self.last.0, self.limit)?;
            self.page = page.into_iter();
        }
        let Some(next) = self.page.next() else {
            self.ended = true;
            return Ok(None);
        };
        self.last = next;
        Ok(Some(Polled::Message(Message::Value {
            partition: ALL_DEAD_LETTERS.partition,
            offset: self.last.0,
            value: self.last.1.as_deref(),
        })))
    }

    fn is_done(&self) -> bool {
        self.ended
    }
}
