//! Writers: a thread and a connection each, fed through channels that hold one batch.
//!
//! A partition belongs to one writer, so its batches are written in order; reading the next batch
//! and writing this one go on at the same time, and memory holds a few batches whatever the
//! backlog.

use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use sitewatch::postgres::Cancel;
use sitewatch::run::{Failure, Stop};

use crate::batch::{Batch, Origin};
use crate::store::{Store, Written};
use crate::summary::Counters;

/// How long a statement may go on once the run should end, before PostgreSQL is asked to cancel
/// it; and how long it has to do so. A scheduler that sent SIGTERM sends SIGKILL soon after.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(1_000);

/// What a writer reports of a batch.
pub(crate) enum Report {
    /// Recorded up to this offset.
    Written {
        partition: Option<i32>,
        next: i64,
        counters: Counters,
        /// Messages of the batch that were no events.
        dead_letters: u64,
    },
    /// Another drain has the partition.
    Fenced { partition: i32, dead_letters: u64 },
    /// PostgreSQL refuses a row: the partition must be read again from here, with originals.
    Refused { partition: i32, from: i64 },
    /// PostgreSQL cannot be used: the run is over.
    Failed(Failure),
    /// Nothing was tried: the writer has failed with a batch before.
    Skipped,
}

/// The writers of a run.
pub(crate) struct Workers {
    writers: Vec<Writer>,
    reports: Receiver<Report>,
    /// Batches handed over and not yet reported.
    outstanding: usize,
}

struct Writer {
    batches: SyncSender<Batch>,
    cancel: Cancel,
}

impl Workers {
    /// Starts a writer for each store.
    pub(crate) fn start(stores: Vec<Store>) -> Self {
        let (report, reports) = mpsc::channel();
        let writers = stores
            .into_iter()
            .map(|mut store| {
                let (batches, arriving) = mpsc::sync_channel::<Batch>(1);
                let report = report.clone();
                let cancel = store.cancel();
                thread::spawn(move || {
                    let mut failed = false;
                    for batch in arriving {
                        // A batch behind one that was not recorded finds the offset elsewhere, or
                        // no connection. Lines from a pipe stand for themselves, and exist nowhere
                        // else.
                        let made = match batch.origin {
                            Origin::Partition(_) if failed => Report::Skipped,
                            Origin::Partition(_) | Origin::Stdin => write(&mut store, &batch),
                        };
                        failed |= matches!(made, Report::Failed(_));
                        // The run may have ended without waiting for us.
                        if report.send(made).is_err() {
                            return;
                        }
                    }
                    // In this order: `close` waits for the last sender to go.
                    drop(store);
                    drop(report);
                });
                Writer { batches, cancel }
            })
            .collect();
        Self {
            writers,
            reports,
            outstanding: 0,
        }
    }

    /// Hands a batch to its partition's writer; gives it back when that writer is busy.
    ///
    /// # Errors
    /// The batch, when there is no room for it yet.
    pub(crate) fn offer(&mut self, batch: Batch) -> Result<(), Batch> {
        let writer = match batch.origin {
            Origin::Partition(partition) => {
                usize::try_from(partition).unwrap_or(0) % self.writers.len()
            }
            Origin::Stdin => 0,
        };
        match self.writers[writer].batches.try_send(batch) {
            Ok(()) => {
                self.outstanding += 1;
                Ok(())
            }
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Err(batch),
        }
    }

    /// The next report that is there.
    pub(crate) fn report(&mut self) -> Option<Report> {
        match self.reports.try_recv() {
            Ok(report) => {
                self.outstanding -= 1;
                Some(report)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => (self.outstanding > 0).then(gone),
        }
    }

    /// Waits a little for a report.
    pub(crate) fn wait(&mut self, longest: Duration) -> Option<Report> {
        match self.reports.recv_timeout(longest) {
            Ok(report) => {
                self.outstanding -= 1;
                Some(report)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => (self.outstanding > 0).then(gone),
        }
    }

    /// Whether every batch handed over has been reported.
    pub(crate) fn idle(&self) -> bool {
        self.outstanding == 0
    }

    /// Waits for the batches in hand. Once the run should end they have a moment more, then their
    /// statements are cancelled; whether a commit still went through, the stored offset tells the
    /// next run.
    pub(crate) fn finish(&mut self, stop: &Stop, mut each: impl FnMut(Report)) {
        let mut asked: Option<Instant> = None;
        let mut cancelled = false;
        while !self.idle() {
            if let Some(report) = self.wait(Duration::from_millis(20)) {
                each(report);
            }
            if stop.requested().is_none() {
                continue;
            }
            let since = asked.get_or_insert_with(Instant::now).elapsed();
            if since > CANCEL_TIMEOUT && !cancelled {
                cancelled = true;
                for writer in &self.writers {
                    let cancel = writer.cancel.clone();
                    // On a thread: a server that does not answer must not hold us here either.
                    thread::spawn(move || cancel.cancel());
                }
            }
            if since > CANCEL_TIMEOUT * 2 {
                each(Report::Failed(Failure::Unfinished(
                    "PostgreSQL did not finish the batch in hand in time; the next run finds out whether it was recorded".to_owned(),
                )));
                return;
            }
        }
        self.close();
    }

    /// Lets the writers go, and waits a moment for them to close their connections: the first one's
    /// is needed once more.
    fn close(&mut self) {
        self.writers.clear();
        while self.reports.recv_timeout(CANCEL_TIMEOUT).is_ok() {}
    }
}

fn write(store: &mut Store, batch: &Batch) -> Report {
    let partition = match batch.origin {
        Origin::Partition(partition) => Some(partition),
        Origin::Stdin => None,
    };
    let dead_letters = batch.dead_letters.len() as u64;
    match (store.write(batch), partition) {
        (Ok(Written::Committed(counters)), partition) => Report::Written {
            partition,
            next: batch.next,
            counters,
            dead_letters,
        },
        (Ok(Written::Fenced), Some(partition)) => Report::Fenced {
            partition,
            dead_letters,
        },
        (Ok(Written::Refused), Some(partition)) => Report::Refused {
            partition,
            from: batch.from,
        },
        // Standard input has no offset to lose, and always keeps its lines.
        (Ok(Written::Fenced | Written::Refused), None) => gone(),
        (Err(failure), _) => Report::Failed(failure),
    }
}

fn gone() -> Report {
    Report::Failed(Failure::InternalError(
        "a writer's thread panicked".to_owned(),
    ))
}
