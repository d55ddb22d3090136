//! Reading and writing, until the plan is done or the run must stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sitewatch::run::{Failure, Progress, Run, Stop, Why};
use sitewatch_kafka::{KafkaError, Polled, Range, Reader};

use crate::batch::{Batch, MAX_BUFFERED, Origin, ROW_BYTES, Record};
use crate::plan::Plan;
use crate::row::Known;
use crate::settings::Settings;
use crate::summary::Counters;
use crate::workers::{Report, Workers};

/// How long one poll for messages may take; signals and reports are seen between polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Messages read before the next look at clock, signals and reports, each of which costs about as
/// much as a message.
const STRIDE: usize = 256;

/// A run's reading and writing.
pub(super) struct Work {
    topic: String,
    /// All that the run will read.
    plan: Plan,
    progress: Progress,
    batch_size: usize,
    max_dead_letters: u64,
    batches: BTreeMap<i32, Filling>,
    known: Known,
    workers: Workers,
    stop: Stop,
    /// Dead letters handed to the writers and not yet reported.
    in_flight: u64,
    /// About how much memory the batches being filled take.
    buffered: usize,
    /// What is recorded, repeated or a dead letter.
    pub(super) counters: Counters,
    /// Offset up to which each partition is known to be recorded.
    pub(super) recorded: BTreeMap<i32, i64>,
    /// Partitions that another drain is at work on.
    pub(super) busy: BTreeSet<i32>,
    /// Partitions in which PostgreSQL refused a row, and where the batch with it begins.
    read_again: BTreeMap<i32, i64>,
    failure: Option<Failure>,
}

/// A partition's batch being filled.
struct Filling {
    batch: Batch,
    end: i64,
    /// Another drain was quicker, or the partition cannot be read on.
    given_up: bool,
}

impl Work {
    pub(super) fn new(
        settings: &Settings,
        topic: &str,
        plan: &Plan,
        known: Known,
        workers: Workers,
        run: &Run,
        stop: Stop,
    ) -> Self {
        Self {
            topic: topic.to_owned(),
            plan: plan.clone(),
            progress: Progress::new(run, "offsets", plan.pending()),
            batch_size: settings.batch_size,
            max_dead_letters: settings.max_dead_letters,
            batches: BTreeMap::new(),
            known,
            workers,
            stop,
            in_flight: 0,
            buffered: 0,
            counters: Counters::default(),
            recorded: BTreeMap::new(),
            busy: BTreeSet::new(),
            read_again: BTreeMap::new(),
            failure: None,
        }
    }

    /// Begins with ranges, in place of those that are done.
    pub(super) fn begin(&mut self, ranges: &[Range]) {
        let room = MAX_BUFFERED / ROW_BYTES / ranges.len().max(1);
        self.batches = ranges
            .iter()
            .map(|range| {
                let mut batch = Batch::starting_at(Origin::Partition(range.partition), range.next);
                let pending = usize::try_from(range.end - range.next).unwrap_or(0);
                batch.expect(self.batch_size.min(pending).min(room));
                let filling = Filling {
                    batch,
                    end: range.end,
                    given_up: false,
                };
                (range.partition, filling)
            })
            .collect();
        self.buffered = 0;
    }

    /// Reads every range to its end and hands full batches to the writers. `Some` when it had to
    /// stop before.
    pub(super) fn read(&mut self, reader: &mut Reader) -> Result<Option<Why>, Failure> {
        loop {
            if let Some(why) = self.stop.requested() {
                return Ok(Some(why));
            }
            while let Some(report) = self.workers.report() {
                self.note(report, Some(&mut *reader));
            }
            self.show_progress();
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if !self.read_again.is_empty() {
                self.go_back(reader)?;
                continue;
            }
            if reader.is_done() {
                if !self.hand_over_all()? {
                    return Ok(self.stop.requested());
                }
                if self.workers.idle() && self.read_again.is_empty() {
                    return Ok(None);
                }
                if let Some(report) = self.workers.wait(POLL_INTERVAL) {
                    self.note(report, None);
                }
                continue;
            }
            if !self.read_some(reader)? {
                return Ok(self.stop.requested());
            }
        }
    }

    /// Reads up to a stride of messages, handing on what is full; `false` when the run must stop.
    fn read_some(&mut self, reader: &mut Reader) -> Result<bool, Failure> {
        for _ in 0..STRIDE {
            let partition = match reader.poll(POLL_INTERVAL)? {
                None => return Ok(true),
                Some(Polled::Record(record)) => {
                    let partition = record.partition();
                    let Some(filling) = self.batches.get_mut(&partition) else {
                        continue;
                    };
                    let before = filling.batch.bytes();
                    filling.batch.add(
                        &Record {
                            offset: record.offset(),
                            key: record.key(),
                            value: record.payload(),
                            timestamp_ms: record.timestamp_ms(),
                        },
                        &mut self.known,
                        record.headers(),
                    );
                    self.buffered += filling.batch.bytes() - before;
                    self.is_full(partition).then_some(partition)
                }
                Some(Polled::Unreadable {
                    partition,
                    from,
                    next,
                    cause,
                }) => {
                    log::warn!(
                        "{} partition {partition}: offsets {from} to {} cannot be read and become a dead letter: {cause}",
                        self.topic,
                        next - 1
                    );
                    if let Some(filling) = self.batches.get_mut(&partition) {
                        let before = filling.batch.bytes();
                        filling.batch.pass_over(from, next, &cause);
                        self.buffered += filling.batch.bytes() - before;
                    }
                    self.is_full(partition).then_some(partition)
                }
                Some(Polled::Position { partition, next }) => {
                    if let Some(filling) = self.batches.get_mut(&partition) {
                        filling.batch.next = filling.batch.next.max(next);
                    }
                    None
                }
                Some(Polled::Failed { partition, error }) => {
                    self.give_up(partition, &error);
                    None
                }
            };
            let full = partition.or_else(|| {
                (self.buffered > MAX_BUFFERED)
                    .then(|| {
                        self.batches
                            .iter()
                            .max_by_key(|(_, filling)| filling.batch.bytes())
                            .map(|(partition, _)| *partition)
                    })
                    .flatten()
            });
            if let Some(partition) = full
                && !self.hand_over(partition, Some(&mut *reader))?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the partition's batch is to be handed over. With as many dead letters as there may
    /// be: what comes before the one too many is recorded, so that the next run gets further.
    fn is_full(&self, partition: i32) -> bool {
        let Some(filling) = self.batches.get(&partition) else {
            return false;
        };
        let dead_letters = filling.batch.dead_letters.len() as u64;
        filling.batch.len() >= self.batch_size
            || dead_letters > 0
                && self.counters.dead_letters + self.in_flight + dead_letters
                    >= self.max_dead_letters
    }

    fn hand_over_all(&mut self) -> Result<bool, Failure> {
        for partition in self.batches.keys().copied().collect::<Vec<_>>() {
            if !self.hand_over(partition, None)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the partition's batch to its writer, waiting for room; `false` when the run must stop
    /// instead.
    fn hand_over(
        &mut self,
        partition: i32,
        mut reader: Option<&mut Reader>,
    ) -> Result<bool, Failure> {
        let Some(filling) = self.batches.get_mut(&partition) else {
            return Ok(true);
        };
        if filling.given_up || filling.batch.is_idle() {
            return Ok(true);
        }
        let mut batch = filling.batch.take();
        self.buffered = self.buffered.saturating_sub(batch.bytes());
        self.in_flight += batch.dead_letters.len() as u64;
        if self.counters.dead_letters + self.in_flight > self.max_dead_letters {
            return Err(Failure::Unfinished(format!(
                "more than DRAIN_MAX_DEAD_LETTERS={} messages are no check events, the next one in partition {partition} from offset {} on: is {} the right topic? The rest is left",
                self.max_dead_letters, batch.from, self.topic
            )));
        }
        loop {
            batch = match self.workers.offer(batch) {
                Ok(()) => return Ok(true),
                Err(batch) => batch,
            };
            if let Some(report) = self.workers.wait(POLL_INTERVAL) {
                self.note(report, reader.as_deref_mut());
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.stop.requested().is_some() {
                return Ok(false);
            }
        }
    }

    fn note(&mut self, report: Report, reader: Option<&mut Reader>) {
        match report {
            Report::Written {
                partition,
                next,
                counters,
                dead_letters,
            } => {
                self.counters.add(counters);
                self.in_flight = self.in_flight.saturating_sub(dead_letters);
                if let Some(partition) = partition {
                    self.recorded.insert(partition, next);
                }
                // Only the writer knows how many rows PostgreSQL refused.
                if self.counters.dead_letters > self.max_dead_letters {
                    self.failure.get_or_insert_with(|| {
                        Failure::Unfinished(format!(
                            "more than DRAIN_MAX_DEAD_LETTERS={} messages cannot be recorded, see dead_letters for the reasons; the rest is left",
                            self.max_dead_letters
                        ))
                    });
                }
            }
            // Behind a batch with a refused row, its followers find the offset not yet moved.
            Report::Fenced { partition, .. } if self.read_again.contains_key(&partition) => {}
            Report::Fenced {
                partition,
                dead_letters,
            } => {
                self.in_flight = self.in_flight.saturating_sub(dead_letters);
                log::info!(
                    "partition {partition} was moved on by another drain; it is left to that one"
                );
                self.busy.insert(partition);
                if let Some(filling) = self.batches.get_mut(&partition) {
                    filling.given_up = true;
                }
                if let Some(reader) = reader
                    && let Err(error) = reader.finish(partition)
                {
                    log::warn!("{error}");
                }
            }
            Report::Refused { partition, from } => {
                log::warn!(
                    "a check of partition {partition} cannot be recorded; it is read again from offset {from} to find which"
                );
                self.read_again.insert(partition, from);
            }
            // The first is the reason, what other writers say may follow from it.
            Report::Failed(failure) => {
                self.failure.get_or_insert(failure);
            }
            Report::Skipped => {}
        }
    }

    /// Goes back to where PostgreSQL refused a row, this time keeping the messages. Batches of the
    /// partition that are still on their way find the offset elsewhere and write nothing.
    fn go_back(&mut self, reader: &mut Reader) -> Result<(), Failure> {
        while !self.workers.idle() {
            if let Some(report) = self.workers.wait(POLL_INTERVAL) {
                self.note(report, None);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.stop.requested().is_some() {
                return Ok(());
            }
        }
        // What was handed over and not recorded is read, and counted, once more.
        self.in_flight = 0;
        for (partition, from) in std::mem::take(&mut self.read_again) {
            if let Some(filling) = self.batches.get_mut(&partition) {
                filling.batch =
                    Batch::starting_at(Origin::Partition(partition), from).with_originals();
                filling.given_up = false;
            }
        }
        let ranges: Vec<Range> = self
            .batches
            .iter()
            .filter(|(_, filling)| !filling.given_up)
            .map(|(partition, filling)| Range {
                partition: *partition,
                next: filling.batch.next,
                end: filling.end,
            })
            .collect();
        Ok(reader.assign(&ranges)?)
    }

    /// A partition that cannot be read on: what was read of it is recorded, the rest is left.
    fn give_up(&mut self, partition: i32, error: &KafkaError) {
        log::error!("{error}");
        if let Some(filling) = self.batches.get_mut(&partition) {
            self.counters.left += u64::try_from(filling.end - filling.batch.next).unwrap_or(0);
            filling.end = filling.batch.next;
        }
    }

    /// Waits for the writers and says how the run ended.
    pub(super) fn finish(
        &mut self,
        outcome: Result<Option<Why>, Failure>,
    ) -> Result<Option<Why>, Failure> {
        let mut reports = Vec::new();
        self.workers
            .finish(&self.stop, |report| reports.push(report));
        for report in reports {
            self.note(report, None);
        }
        let stopped = outcome?;
        match self.failure.take() {
            // Asked to stop and cut short: that is no failure of PostgreSQL's.
            Some(Failure::Unfinished(why)) if stopped.is_some() => {
                log::warn!("{why}");
                Ok(stopped)
            }
            Some(failure) => Err(failure),
            None => Ok(stopped),
        }
    }

    /// Offsets of the plan that this run has not reached, other drains' partitions aside.
    pub(super) fn left(&self) -> u64 {
        left(&self.plan.ranges, &self.busy, &self.recorded)
    }

    fn show_progress(&mut self) {
        let (plan, busy, recorded) = (&self.plan, &self.busy, &self.recorded);
        self.progress.at(|| {
            plan.pending()
                .saturating_sub(left(&plan.ranges, busy, recorded))
        });
    }
}

fn left(plan: &[Range], busy: &BTreeSet<i32>, recorded: &BTreeMap<i32, i64>) -> u64 {
    plan.iter()
        .filter(|range| !busy.contains(&range.partition))
        .map(|range| {
            let reached = recorded.get(&range.partition).unwrap_or(&range.next);
            u64::try_from(range.end - reached).unwrap_or(0)
        })
        .sum()
}
