//! The connections of a run: one that it cannot do without, and others as far as they can be had.
//!
//! A pooler may have a single connection for all of us, and a role a limit. So nothing waits for a
//! connection while it keeps another from working: what is not there at once is done without.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postgres::Client;
use sitewatch::postgres::{connect, root_cause};
use sitewatch::settings::DatabaseSettings;

use crate::settings::Settings;

/// How long to wait for further connections, all together.
const SPARE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the open transaction that holds the locks may keep the first connection from being
/// answered. Behind a pooler, others may be kept waiting for as long.
const HELD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long after its deadline a drain may still hold partitions.
const GRACE: Duration = Duration::from_secs(10);

/// A connection that several use, one at a time: the first writer's, between whose batches the run
/// asks its own questions.
pub(crate) type Shared = Arc<Mutex<Client>>;

/// What could be had.
pub(crate) struct Connections {
    /// One for each writer.
    pub(crate) writers: Vec<Shared>,
    /// With an open transaction, to which partition locks belong; `None`: the run does without.
    pub(crate) locks: Option<Client>,
    /// For acquiring shares while batches are written; the first writer's if there is no other.
    pub(crate) shares: Shared,
}

impl Connections {
    /// `first`, and others as they are wanted: `writers` for writing, `first` among them, one for
    /// locks, and one for acquiring several shares.
    pub(crate) fn open(
        first: &Shared,
        settings: &Settings,
        writers: usize,
        with_locks: bool,
        several_shares: bool,
    ) -> Self {
        let until = Instant::now() + SPARE_TIMEOUT;
        let locks = with_locks.then(|| {
            // A drain that lives has ended by its deadline. A zombie has not, and must not keep
            // its partitions from the others for ever.
            let longest = (settings.deadline + GRACE).as_millis();
            Spare::ask(
                &settings.database,
                format!(
                    "begin isolation level read committed;
                     set local idle_in_transaction_session_timeout = {}",
                    longest.min(i32::MAX as u128)
                ),
            )
        });
        let spares: Vec<Spare> = (1..writers)
            .map(|_| Spare::ask(&settings.database, String::new()))
            .collect();
        let locks = locks
            .and_then(|spare| spare.get(until))
            .and_then(|locks| unless_in_the_way(locks, first));
        if with_locks && locks.is_none() {
            log::info!(
                "no connection to spare for partition locks: should another drain be at work, both may read the same batch, which one of them records"
            );
        }
        let mut connections = vec![Arc::clone(first)];
        connections.extend(
            spares
                .into_iter()
                .filter_map(|spare| spare.get(until))
                .map(|client| Arc::new(Mutex::new(client))),
        );
        if connections.len() < writers {
            log::info!(
                "{} of {writers} writers: no connection to spare for more",
                connections.len()
            );
        }
        // Last: writers and locks save more.
        let is_complete = connections.len() == writers && locks.is_some();
        let shares = (several_shares && is_complete)
            .then(|| Spare::ask(&settings.database, String::new()))
            .and_then(|spare| spare.get(until))
            .map_or_else(|| Arc::clone(first), |client| Arc::new(Mutex::new(client)));
        Self {
            writers: connections,
            locks,
            shares,
        }
    }
}

/// A connection being made.
struct Spare(mpsc::Receiver<Client>);

impl Spare {
    /// Connects, and runs a statement: behind a pooler only that shows whether there is a
    /// connection. One that comes too late is closed at once.
    fn ask(settings: &DatabaseSettings, statement: String) -> Self {
        let (sender, receiver) = mpsc::channel();
        let settings = settings.clone();
        thread::spawn(move || {
            let mut client = match connect(&settings, "drain") {
                Ok(client) => client,
                Err(failure) => return log::info!("no further connection: {failure}"),
            };
            match client.batch_execute(&statement) {
                Ok(()) => drop(sender.send(client)),
                Err(error) => log::info!("no further connection: {}", root_cause(&error)),
            }
        });
        Self(receiver)
    }

    fn get(self, until: Instant) -> Option<Client> {
        let left = until.saturating_duration_since(Instant::now());
        self.0.recv_timeout(left).ok()
    }
}

/// The connection with its open transaction, unless that was the last one of a pool, and nobody can
/// work while we hold it.
fn unless_in_the_way(mut locks: Client, first: &Shared) -> Option<Client> {
    let (sender, answered) = mpsc::channel();
    let asked = Arc::clone(first);
    thread::spawn(move || {
        // Whether it failed, its next use will tell.
        asked.lock().batch_execute("").ok();
        sender.send(()).ok();
    });
    if answered.recv_timeout(HELD_TIMEOUT).is_ok() {
        return Some(locks);
    }
    if let Err(error) = locks.batch_execute("rollback") {
        log::debug!("giving up the locks: {}", root_cause(&error));
    }
    None
}
