//! Writers: a thread and a connection each, given a batch at a time.
//!
//! A partition belongs to one writer, so its batches are written in order; reading the next batch
//! and writing this one go on at the same time, and memory holds two batches a writer whatever the
//! backlog. No third one waits in between: larger batches are a better use of its memory, because each
//! writes the states of its sites.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use sitewatch::run::{Failure, Stop};

use crate::batch::Batch;
use crate::finish::Counters;

/// How long a statement may go on once the run should end, before PostgreSQL is asked to cancel
/// it; and how long it has to do so. A scheduler that sent SIGTERM sends SIGKILL soon after.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Where a writer commits batches: a connection to PostgreSQL.
pub(crate) trait Commit: Send + 'static {
    /// Writes a batch, all of it or nothing.
    ///
    /// # Errors
    /// When PostgreSQL cannot be used; whether the batch is recorded, the next run finds out.
    fn commit(&mut self, batch: &Batch) -> Result<Committed, Failure>;

    /// Interrupts a commit from another thread.
    fn interrupt(&self) -> Interrupt;
}

/// What interrupts a commit; it may block.
pub(crate) type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Committed {
    /// It is recorded.
    Written(Counters),
    /// Another drain moved these partitions first: nothing was written, and this run must leave
    /// them alone.
    Fenced(Vec<i32>),
    /// A row of it cannot be recorded and the messages were not kept: nothing was written, and the
    /// row's partition must be read again with them.
    Refused,
}

/// What a writer reports of a batch; of one that was skipped nothing but its dead letters.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Partitions recorded, and up to which offset.
    pub(crate) written: Vec<(i32, i64)>,
    /// What was recorded of them.
    pub(crate) counters: Counters,
    /// Partitions that another drain has.
    pub(crate) fenced: Vec<i32>,
    /// Partitions of which PostgreSQL refuses a row, and from where they must be read again, with
    /// originals.
    pub(crate) refused: Vec<(i32, i64)>,
    /// PostgreSQL cannot be used: the run is over.
    pub(crate) failure: Option<Failure>,
    /// Messages of the batch that were no events, recorded or not.
    pub(crate) dead_letters: u64,
}

/// The writers of a run.
pub(crate) struct Writers {
    writers: Vec<Writer>,
    /// With the writer's number.
    reports: Receiver<(usize, Report)>,
}

struct Writer {
    batches: SyncSender<Batch>,
    interrupt: Interrupt,
    /// It has a batch that is not yet reported.
    is_busy: bool,
}

impl Writers {
    /// Starts a writer for each store. One that has failed with a batch skips the ones behind it,
    /// which find the offset elsewhere, or no connection.
    pub(crate) fn start<C: Commit>(stores: Vec<C>) -> Self {
        Self::spawn(stores, false)
    }

    /// Starts a writer of lines, which stand for themselves and exist nowhere else: one that has
    /// failed with a batch tries the ones behind it all the same.
    pub(crate) fn start_for_lines<C: Commit>(store: C) -> Self {
        Self::spawn(vec![store], true)
    }

    fn spawn<C: Commit>(stores: Vec<C>, after_failure: bool) -> Self {
        let (report, reports) = mpsc::channel();
        let writers = stores
            .into_iter()
            .enumerate()
            .map(|(number, mut store)| {
                let (batches, arriving) = mpsc::sync_channel::<Batch>(1);
                let report = report.clone();
                let interrupt = store.interrupt();
                thread::spawn(move || {
                    let mut failed = false;
                    for batch in arriving {
                        let mut made = Report {
                            dead_letters: batch.dead_letters().count() as u64,
                            ..Report::default()
                        };
                        if !failed || after_failure {
                            write(&mut store, batch, &mut made);
                        }
                        failed |= made.failure.is_some();
                        // The run may have ended without waiting for us.
                        if report.send((number, made)).is_err() {
                            return;
                        }
                    }
                    // In this order: `close` waits for the last sender to go.
                    drop(store);
                    drop(report);
                });
                Writer {
                    batches,
                    interrupt,
                    is_busy: false,
                }
            })
            .collect();
        Self { writers, reports }
    }

    /// Hands a batch to its writer; gives it back when that writer is busy.
    ///
    /// # Errors
    /// The batch, when the writer has another.
    pub(crate) fn offer(&mut self, batch: Batch) -> Result<(), Batch> {
        let writer = &mut self.writers[batch.writer];
        if writer.is_busy {
            return Err(batch);
        }
        match writer.batches.try_send(batch) {
            Ok(()) => {
                writer.is_busy = true;
                Ok(())
            }
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Err(batch),
        }
    }

    /// The next report that is there.
    pub(crate) fn report(&mut self) -> Option<Report> {
        match self.reports.try_recv() {
            Ok(report) => Some(self.note(report)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => (!self.idle()).then(gone),
        }
    }

    /// Waits a little for a report.
    pub(crate) fn wait(&mut self, longest: Duration) -> Option<Report> {
        match self.reports.recv_timeout(longest) {
            Ok(report) => Some(self.note(report)),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => (!self.idle()).then(gone),
        }
    }

    fn note(&mut self, (number, report): (usize, Report)) -> Report {
        self.writers[number].is_busy = false;
        report
    }

    /// Whether every batch handed over has been reported.
    pub(crate) fn idle(&self) -> bool {
        self.writers.iter().all(|writer| !writer.is_busy)
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
                    let interrupt = Arc::clone(&writer.interrupt);
                    // On a thread: a server that does not answer must not hold us here either.
                    thread::spawn(move || interrupt());
                }
            }
            if since > CANCEL_TIMEOUT * 2 {
                each(failed(Failure::Unfinished(
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

/// Writes a batch, and whatever of it can be written when not all can.
fn write(store: &mut impl Commit, batch: Batch, report: &mut Report) {
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        match store.commit(&batch) {
            Ok(Committed::Written(counters)) => {
                report.counters.add(counters);
                let parts = batch.parts.iter();
                report
                    .written
                    .extend(parts.map(|part| (part.partition, part.next)));
            }
            Ok(Committed::Fenced(partitions)) => {
                batch.remove(&partitions);
                report.fenced.extend(partitions);
                if !batch.parts.is_empty() {
                    batches.push(batch);
                }
            }
            Ok(Committed::Refused) => match &batch.parts[..] {
                [part] => report.refused.push((part.partition, part.from)),
                // Which partition it is shows when it is alone.
                _ => batches.extend(batch.split()),
            },
            Err(failure) => {
                report.failure = Some(failure);
                return;
            }
        }
    }
}

fn failed(failure: Failure) -> Report {
    Report {
        failure: Some(failure),
        ..Report::default()
    }
}

fn gone() -> Report {
    failed(Failure::InternalError(
        "a writer's thread panicked".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Part;
    use crate::fake::Database;

    /// What becomes of two batches of which the first fails.
    fn two_batches(writers: impl FnOnce(Database) -> Writers) -> Vec<&'static str> {
        let database = Database::default();
        database.tables().is_away = true;
        let mut writers = writers(database.clone());
        let mut made = Vec::new();
        for from in [0, 1] {
            let mut part = Part::starting_at(0, from);
            part.next = from + 1;
            let batch = Batch {
                writer: 0,
                parts: vec![part],
            };
            assert!(writers.offer(batch).is_ok());
            let report = loop {
                if let Some(report) = writers.wait(CANCEL_TIMEOUT) {
                    break report;
                }
            };
            made.push(if report.failure.is_some() {
                "failed"
            } else if report.written.is_empty() {
                "skipped"
            } else {
                "written"
            });
            database.tables().is_away = false;
        }
        assert!(writers.idle());
        made
    }

    fn batch(writer: usize) -> Batch {
        let parts = vec![Part::starting_at(i32::try_from(writer).unwrap(), 0)];
        Batch { writer, parts }
    }

    #[test]
    fn a_writer_has_one_batch_at_a_time() {
        let mut database = Database::default();
        database.hangs = true;
        let mut writers = Writers::start(vec![database.clone(), database]);
        assert!(writers.offer(batch(0)).is_ok());
        assert!(writers.offer(batch(0)).is_err());
        assert!(writers.offer(batch(1)).is_ok());
        (writers.writers[0].interrupt)();
        while !writers.idle() {
            writers.wait(CANCEL_TIMEOUT);
        }
        assert!(writers.offer(batch(0)).is_ok());
    }

    #[test]
    fn a_batch_behind_one_that_failed_is_skipped() {
        let made = two_batches(|database| Writers::start(vec![database]));
        assert_eq!(made, ["failed", "skipped"]);
    }

    #[test]
    fn lines_behind_those_that_failed_are_tried_all_the_same() {
        let made = two_batches(Writers::start_for_lines);
        assert_eq!(made, ["failed", "written"]);
    }
}
