//! The pump: reads, decodes, fills batches and has them written, until the source is done or the
//! run must stop.

use std::time::Duration;

use sitewatch::run::{Failure, Progress, Stop, Why};
use sitewatch_kafka::Range;

use crate::acquire::Acquired;
use crate::decode::{DeadLetter, Decoder};
use crate::filling::Filling;
use crate::ledger::Ledger;
use crate::read::{Polled, Source};
use crate::write::{Report, Writers};

/// How long one poll for messages may take; signals and reports are seen between polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Messages read before the next look at clock, signals and reports, each of which costs about as
/// much as a message.
const STRIDE: usize = 256;

/// A run's reading and writing.
pub(crate) struct Pump {
    pub(crate) decoder: Decoder,
    pub(crate) filling: Filling,
    pub(crate) writers: Writers,
    pub(crate) ledger: Ledger,
    pub(crate) progress: Progress,
    /// When to read and write nothing more.
    pub(crate) stop: Stop,
}

/// Why a pump ended before its source was done.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The run was to stop.
    Stopped(Why),
    /// It cannot go on.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Pump {
    /// Begins with a share of the plan; the ones before have been read.
    ///
    /// # Errors
    /// When the source does not take the ranges.
    pub(crate) fn begin(
        &mut self,
        share: &[Range],
        acquired: &Acquired,
        source: &mut impl Source,
    ) -> Result<(), Failure> {
        self.ledger.acquired(share, acquired);
        self.filling.begin(&acquired.ranges);
        source.assign(&acquired.ranges)
    }

    /// Reads the source to its end and has everything written.
    ///
    /// # Errors
    /// When it had to end before.
    pub(crate) fn run(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        let ended = self.try_run(source);
        if ended.is_err() && !source.can_be_read_again() {
            // What was taken from a pipe exists nowhere else. Why it ended is known already.
            drop(self.hand_over_all(source));
        }
        ended
    }

    fn try_run(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        loop {
            self.read(source)?;
            self.hand_over_all(source)?;
            if self.writers.idle() && !self.ledger.must_go_back() {
                return Ok(());
            }
            self.wait(source)?;
        }
    }

    /// Reads the source to its end. What fills no batch then is not written yet: the next share's
    /// messages join it.
    ///
    /// # Errors
    /// When it had to end before.
    pub(crate) fn read(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        loop {
            self.stop_if_requested()?;
            self.note_reports(source)?;
            self.show_progress();
            if self.ledger.must_go_back() {
                self.go_back(source)?;
            } else if source.is_done() {
                return Ok(());
            } else {
                self.read_some(source)?;
            }
        }
    }

    /// Reads up to a stride of messages, handing on what is full.
    fn read_some(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        for _ in 0..STRIDE {
            let Some(polled) = source.poll(POLL_INTERVAL)? else {
                return Ok(());
            };
            let partition = self.add(polled);
            let left = self.ledger.dead_letters_left();
            if let Some(full) = self.filling.full(partition, left) {
                self.hand_over(full, source)?;
            }
        }
        Ok(())
    }

    /// Adds what was read to a batch; returns the partition.
    fn add(&mut self, polled: Polled<'_>) -> i32 {
        match polled {
            Polled::Message(message) => {
                self.filling.add(&message, &mut self.decoder);
                message.record().partition
            }
            Polled::Invalid(message, reason) => {
                let record = message.record();
                let dead_letter = DeadLetter::of(&message, reason);
                self.filling
                    .add_dead_letter(record.partition, dead_letter, record.offset + 1);
                record.partition
            }
            Polled::Unreadable {
                partition,
                from,
                next,
                cause,
            } => {
                log::warn!(
                    "{} partition {partition}: offsets {from} to {} cannot be read and become a dead letter: {cause}",
                    self.ledger.topic(),
                    next - 1
                );
                let dead_letter = DeadLetter::unreadable(from, next, &cause);
                self.filling.add_dead_letter(partition, dead_letter, next);
                partition
            }
            Polled::Position { partition, next } => {
                self.filling.reach(partition, next);
                partition
            }
            Polled::Failed { partition, error } => {
                log::error!("{error}");
                self.ledger.leave(self.filling.end_early(partition));
                partition
            }
        }
    }

    fn hand_over_all(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        for writer in 0..self.filling.writers() {
            self.hand_over(writer, source)?;
        }
        Ok(())
    }

    /// Gives a writer its batch, waiting for room.
    fn hand_over(&mut self, writer: usize, source: &mut impl Source) -> Result<(), Ended> {
        let Some(mut batch) = self.filling.take(writer) else {
            return Ok(());
        };
        self.ledger.hand_over(&batch)?;
        while let Err(back) = self.writers.offer(batch) {
            batch = back;
            self.wait(source)?;
            // What cannot be read again is not dropped.
            if source.can_be_read_again() {
                self.stop_if_requested()?;
            }
        }
        Ok(())
    }

    /// Goes back to where PostgreSQL refused a row, this time keeping the messages. Batches of the
    /// partition that are still on their way find the offset elsewhere and write nothing.
    fn go_back(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        while !self.writers.idle() {
            self.wait(source)?;
            self.stop_if_requested()?;
        }
        for (partition, from) in self.ledger.go_back() {
            self.filling.go_back(partition, from);
        }
        Ok(source.assign(&self.filling.unread())?)
    }

    fn stop_if_requested(&self) -> Result<(), Ended> {
        self.stop
            .requested()
            .map_or(Ok(()), |why| Err(Ended::Stopped(why)))
    }

    /// Waits a little for a report, and notes it.
    fn wait(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        let report = self.writers.wait(POLL_INTERVAL);
        self.note(report, source)
    }

    fn note_reports(&mut self, source: &mut impl Source) -> Result<(), Ended> {
        loop {
            let report = self.writers.report();
            let is_last = report.is_none();
            self.note(report, source)?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn note(&mut self, report: Option<Report>, source: &mut impl Source) -> Result<(), Ended> {
        for partition in report.map_or_else(Vec::new, |report| self.ledger.note(report)) {
            self.filling.give_up(partition);
            if let Err(failure) = source.finish(partition) {
                log::warn!("{failure}");
            }
        }
        self.ledger
            .take_failure()
            .map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn show_progress(&mut self) {
        let ledger = &self.ledger;
        self.progress.at(|| ledger.reached());
    }

    /// Waits for the writers, for as long as `stop` lets them, and says how the run ended: whether
    /// it was stopped, and what has become of its plan.
    pub(crate) fn finish(
        mut self,
        ended: Result<(), Ended>,
        stop: &Stop,
    ) -> (Ledger, Result<Option<Why>, Failure>) {
        let ledger = &mut self.ledger;
        self.writers.finish(stop, |report| {
            ledger.note(report);
        });
        let stopped = match (ended, ledger.take_failure()) {
            (Err(Ended::Failed(failure)), _) | (Ok(()), Some(failure)) => Err(failure),
            // Asked to stop and cut short: that is no failure of PostgreSQL's.
            (Err(Ended::Stopped(why)), Some(Failure::Unfinished(cut_short))) => {
                log::warn!("{cut_short}");
                Ok(Some(why))
            }
            (Err(Ended::Stopped(_)), Some(failure)) => Err(failure),
            (Err(Ended::Stopped(why)), None) => Ok(Some(why)),
            (Ok(()), None) => Ok(None),
        };
        (self.ledger, stopped)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::fake::{Drain, Topic};

    #[test]
    fn everything_is_recorded_once_and_every_partition_is_at_its_end() {
        let mut drain = Drain::of(Topic::of_events(3, 25));
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(drain.database.recorded().len(), 75);
        let tables = drain.database.tables();
        assert_eq!(tables.offsets, [(0, 25), (1, 25), (2, 25)].into());
        assert_eq!(*ledger.recorded(), tables.offsets);
        assert_eq!((ledger.left(), ledger.counters().recorded), (0, 75));
        assert!(tables.transactions.iter().all(|messages| *messages <= 10));
    }

    #[test]
    fn a_partition_that_another_drain_moved_is_left_and_the_others_go_on() {
        let mut drain = Drain::of(Topic::of_events(3, 25));
        drain.database.tables().offsets.insert(1, 5);
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), None);
        let recorded = drain.database.recorded();
        assert!(recorded.iter().all(|number| number / 1_000 != 1));
        assert_eq!(recorded.len(), 50);
        assert_eq!(drain.database.tables().offsets[&1], 5);
        assert_eq!((ledger.left(), ledger.counters().busy), (0, 1));
    }

    #[test]
    fn a_refused_row_sends_its_partition_back_and_becomes_a_dead_letter() {
        let mut drain = Drain::of(Topic::of_events(2, 45));
        drain.database.tables().refused.extend([3, 1_031]);
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(drain.database.recorded().len(), 88);
        let tables = drain.database.tables();
        let mut reasons = tables.dead_letters.clone();
        reasons.sort();
        assert_eq!(reasons, ["refused 1031", "refused 3"]);
        assert_eq!(tables.offsets, [(0, 45), (1, 45)].into());
        assert_eq!(ledger.counters().dead_letters, 2);
    }

    #[test]
    fn what_is_no_event_is_a_dead_letter_until_there_are_too_many() {
        let drain = |max_dead_letters| {
            let mut topic = Topic::of_events(1, 9);
            for offset in [2, 4, 6] {
                topic.replace(0, offset, b"no event");
            }
            let mut drain = Drain::of(topic);
            drain.max_dead_letters = max_dead_letters;
            let (_, stopped) = drain.run();
            let tables = drain.database.tables();
            let state = (tables.checks.len(), tables.dead_letters.len());
            (state, stopped)
        };
        let (state, stopped) = drain(3);
        assert_eq!((state, stopped.unwrap()), ((6, 3), None));
        // What comes before the one too many is recorded.
        let (state, stopped) = drain(2);
        assert_eq!(state, (3, 2));
        assert!(matches!(stopped, Err(Failure::Unfinished(_))));
    }

    #[test]
    fn many_partitions_with_little_are_few_transactions() {
        let mut drain = Drain::of(Topic::of_events(64, 3));
        drain.batch_size = 100;
        drain.run().1.unwrap();
        assert_eq!(drain.database.recorded().len(), 192);
        let tables = drain.database.tables();
        assert_eq!(tables.transactions, [96, 96]);
        assert_eq!(tables.offsets.len(), 64);
    }

    #[test]
    fn the_other_partitions_of_a_fenced_batch_are_written() {
        let mut drain = Drain::of(Topic::of_events(4, 3));
        drain.writers = 1;
        drain.batch_size = 100;
        drain.database.tables().offsets.extend([(1, 2), (3, 9)]);
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(drain.database.recorded(), [0, 1, 2, 2_000, 2_001, 2_002]);
        assert_eq!(
            drain.database.tables().offsets,
            [(0, 3), (1, 2), (2, 3), (3, 9)].into()
        );
        assert_eq!(ledger.counters().busy, 2);
    }

    #[test]
    fn the_other_partitions_of_a_refused_batch_are_written_and_not_read_again() {
        let mut drain = Drain::of(Topic::of_events(5, 3));
        drain.writers = 1;
        drain.batch_size = 100;
        drain.database.tables().refused.insert(2_001);
        let (_, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(drain.database.recorded().len(), 14);
        assert_eq!(drain.topic.read, [3, 3, 6, 3, 3]);
        let tables = drain.database.tables();
        assert_eq!(tables.dead_letters, ["refused 2001"]);
        assert!(tables.offsets.values().all(|next| *next == 3));
    }

    #[test]
    fn a_run_that_is_stopped_leaves_the_rest_and_knows_how_much() {
        let mut topic = Topic::of_events(1, 10_000);
        let stop = Stop::never();
        topic.stop_after = Some((5_000, stop.clone()));
        let mut drain = Drain::of(topic);
        drain.stop = stop;
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), Some(Why::Signal));
        let next = drain.database.tables().offsets[&0];
        assert!((4_900..5_300).contains(&next), "{next}");
        assert_eq!(ledger.left(), u64::try_from(10_000 - next).unwrap());
        let recorded = i64::try_from(drain.database.recorded().len());
        assert_eq!(recorded, Ok(next));
    }

    #[test]
    fn a_run_whose_deadline_has_passed_reads_nothing() {
        let mut drain = Drain::of(Topic::of_events(2, 25));
        drain.stop = Stop::never().no_later_than(Some(Instant::now()));
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), Some(Why::Deadline));
        assert_eq!(ledger.left(), 50);
        assert!(drain.database.recorded().is_empty());
    }

    #[test]
    fn a_commit_that_hangs_is_interrupted_when_the_run_should_end() {
        let mut drain = Drain::of(Topic::of_events(1, 25));
        drain.database.hangs = true;
        drain.stop = Stop::never().no_later_than(Some(Instant::now() + POLL_INTERVAL));
        let (_, stopped) = drain.run();
        assert!(matches!(stopped, Err(Failure::Unavailable(why)) if why == "interrupted"));
    }

    #[test]
    fn without_its_database_a_run_fails() {
        let mut drain = Drain::of(Topic::of_events(2, 25));
        drain.database.tables().is_away = true;
        let (ledger, stopped) = drain.run();
        assert!(matches!(stopped, Err(Failure::Unavailable(why)) if why == "away"));
        assert_eq!(ledger.left(), 50);
    }

    #[test]
    fn a_partition_that_cannot_be_read_on_is_recorded_as_far_as_it_was_read() {
        let mut topic = Topic::of_events(2, 25);
        topic.broken.insert(0, 7);
        let mut drain = Drain::of(topic);
        let (ledger, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(drain.database.tables().offsets, [(0, 7), (1, 25)].into());
        assert_eq!(ledger.counters().left, 18);
    }

    #[test]
    fn what_was_taken_from_a_pipe_is_written_although_the_run_should_end() {
        let mut topic = Topic::of_events(1, 1_000);
        let stop = Stop::never();
        topic.is_pipe = true;
        topic.stop_after = Some((300, stop.clone()));
        let mut drain = Drain::of(topic);
        drain.stop = stop;
        let (_, stopped) = drain.run();
        assert_eq!(stopped.unwrap(), Some(Why::Signal));
        let next = drain.database.tables().offsets[&0];
        assert_eq!(next % 256, 0, "a stride is read to its end");
        let recorded = i64::try_from(drain.database.recorded().len());
        assert_eq!(recorded, Ok(next));
    }
}
