//! What has become of a run's plan so far: recorded, left to another drain, to be read again.

use std::collections::{BTreeMap, BTreeSet};

use sitewatch::run::Failure;
use sitewatch_kafka::Range;

use crate::acquire::Acquired;
use crate::batch::Batch;
use crate::finish::Counters;
use crate::plan::Plan;
use crate::write::Report;

/// What has become of a run's plan.
pub(crate) struct Ledger {
    topic: String,
    /// All that the run will read.
    plan: Plan,
    max_dead_letters: u64,
    /// Dead letters handed to the writers and not yet reported.
    in_flight: u64,
    /// What is recorded, repeated or a dead letter.
    counters: Counters,
    /// Offset up to which each partition is known to be recorded.
    recorded: BTreeMap<i32, i64>,
    /// Partitions that another drain is at work on.
    busy: BTreeSet<i32>,
    /// Partitions in which PostgreSQL refused a row, and where the batch with it begins.
    read_again: BTreeMap<i32, i64>,
    failure: Option<Failure>,
}

impl Ledger {
    /// That of a topic's plan, which may add `max_dead_letters` to `dead_letters`.
    pub(crate) fn new(topic: &str, plan: &Plan, max_dead_letters: u64) -> Self {
        Self {
            topic: topic.to_owned(),
            plan: plan.clone(),
            max_dead_letters,
            in_flight: 0,
            counters: Counters::default(),
            recorded: BTreeMap::new(),
            busy: BTreeSet::new(),
            read_again: BTreeMap::new(),
            failure: None,
        }
    }

    /// That of a source without offsets of a topic, and without a limit of dead letters.
    pub(crate) fn without_plan() -> Self {
        Self::new("", &Plan::default(), u64::MAX)
    }

    /// A share of the plan was acquired, as far as nobody else has it.
    pub(crate) fn acquired(&mut self, share: &[Range], acquired: &Acquired) {
        for range in share {
            self.busy.remove(&range.partition);
        }
        self.busy.extend(&acquired.busy);
        self.recorded.extend(&acquired.recorded);
    }

    /// A batch is about to be handed to its writer.
    ///
    /// # Errors
    /// When it has a dead letter too many.
    pub(crate) fn hand_over(&mut self, batch: &Batch) -> Result<(), Failure> {
        let dead_letters = batch.dead_letters().count() as u64;
        if dead_letters > self.dead_letters_left()
            && let Some((partition, next)) = batch.dead_letters().next()
        {
            return Err(Failure::Unfinished(format!(
                "more than DRAIN_MAX_DEAD_LETTERS={} messages are no check events, the next one in partition {partition} from offset {} on: is {} the right topic? The rest is left",
                self.max_dead_letters, next.offset, self.topic
            )));
        }
        self.in_flight += dead_letters;
        Ok(())
    }

    /// Dead letters that may still be added.
    pub(crate) fn dead_letters_left(&self) -> u64 {
        self.max_dead_letters
            .saturating_sub(self.counters.dead_letters + self.in_flight)
    }

    /// A writer has reported. Returns the partitions that are another drain's from now on.
    pub(crate) fn note(&mut self, report: Report) -> Vec<i32> {
        self.in_flight = self.in_flight.saturating_sub(report.dead_letters);
        self.counters.add(report.counters);
        self.recorded.extend(report.written);
        for (partition, from) in report.refused {
            log::warn!(
                "a check of partition {partition} cannot be recorded; it is read again from offset {from} to find which"
            );
            self.read_again.insert(partition, from);
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
        // The first is the reason, what other writers say may follow from it.
        if let Some(failure) = report.failure {
            self.failure.get_or_insert(failure);
        }
        let mut fenced = report.fenced;
        // Behind a batch with a refused row, its followers find the offset not yet moved.
        fenced.retain(|partition| !self.read_again.contains_key(partition));
        for partition in &fenced {
            // Its other batches on their way find the same.
            if self.busy.insert(*partition) {
                log::info!(
                    "partition {partition} was moved on by another drain; it is left to that one"
                );
            }
        }
        fenced
    }

    /// Why the run cannot go on, if it cannot; said once.
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Whether partitions are to be read again.
    pub(crate) fn must_go_back(&self) -> bool {
        !self.read_again.is_empty()
    }

    /// The partitions to be read again, and from where.
    pub(crate) fn go_back(&mut self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.read_again)
    }

    /// A partition cannot be read on: this many offsets of it are left.
    pub(crate) fn leave(&mut self, offsets: u64) {
        self.counters.left += offsets;
    }

    /// Ranges of the plan that are left to another drain.
    pub(crate) fn busy(&self) -> Vec<Range> {
        let ranges = self.plan.ranges.iter();
        ranges
            .filter(|range| self.busy.contains(&range.partition))
            .copied()
            .collect()
    }

    /// Offsets of the plan that are not reached, other drains' partitions aside.
    pub(crate) fn left(&self) -> u64 {
        self.plan
            .ranges
            .iter()
            .filter(|range| !self.busy.contains(&range.partition))
            .map(|range| {
                let reached = self.recorded.get(&range.partition).unwrap_or(&range.next);
                u64::try_from(range.end - reached).unwrap_or(0)
            })
            .sum()
    }

    /// Offsets of the plan that are done with.
    pub(crate) fn reached(&self) -> u64 {
        self.plan.pending().saturating_sub(self.left())
    }

    /// The topic's name.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Offset up to which each partition is known to be recorded.
    pub(crate) fn recorded(&self) -> &BTreeMap<i32, i64> {
        &self.recorded
    }

    /// What was done.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            busy: self.busy.len() as u64,
            ..self.counters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Part;
    use crate::decode::DeadLetter;

    fn ledger() -> Ledger {
        let range = |partition| Range {
            partition,
            next: 0,
            end: 10,
        };
        let plan = Plan {
            ranges: vec![range(0), range(1)],
            losses: Vec::new(),
        };
        Ledger::new("topic", &plan, 2)
    }

    fn written(next: i64, refused: u64) -> Report {
        Report {
            written: vec![(0, next)],
            counters: Counters {
                dead_letters: refused,
                ..Counters::default()
            },
            ..Report::default()
        }
    }

    fn batch_of_dead_letters(count: i64) -> Batch {
        let mut part = Part::starting_at(0, 0);
        for offset in 0..count {
            let dead_letter = DeadLetter::unreadable(offset, offset + 1, "a test");
            part.add_dead_letter(dead_letter, offset + 1);
        }
        Batch {
            writer: 0,
            parts: vec![part],
        }
    }

    #[test]
    fn what_is_left_is_what_is_neither_recorded_nor_another_drains() {
        let mut ledger = ledger();
        assert_eq!((ledger.left(), ledger.reached()), (20, 0));
        ledger.note(written(4, 0));
        assert_eq!((ledger.left(), ledger.reached()), (16, 4));
        let fenced = ledger.note(Report {
            fenced: vec![1],
            ..Report::default()
        });
        assert_eq!(fenced, [1]);
        assert_eq!((ledger.left(), ledger.counters().busy), (6, 1));
        let busy: Vec<i32> = ledger.busy().iter().map(|it| it.partition).collect();
        assert_eq!(busy, [1]);
    }

    #[test]
    fn a_batch_behind_a_refused_one_is_not_another_drains() {
        let mut ledger = ledger();
        ledger.note(Report {
            refused: vec![(0, 3)],
            ..Report::default()
        });
        let fenced = ledger.note(Report {
            fenced: vec![0],
            ..Report::default()
        });
        assert_eq!((fenced, ledger.counters().busy), (vec![], 0));
        assert!(ledger.must_go_back());
        assert_eq!(ledger.go_back(), [(0, 3)].into());
        assert!(!ledger.must_go_back());
    }

    #[test]
    fn dead_letters_count_from_when_they_are_handed_over() {
        let mut ledger = ledger();
        ledger.hand_over(&batch_of_dead_letters(2)).unwrap();
        assert_eq!(ledger.dead_letters_left(), 0);
        assert!(ledger.hand_over(&batch_of_dead_letters(1)).is_err());
        assert!(ledger.hand_over(&batch_of_dead_letters(0)).is_ok());
        // Read again, they count anew.
        ledger.note(Report {
            dead_letters: 2,
            refused: vec![(0, 0)],
            ..Report::default()
        });
        assert_eq!(ledger.dead_letters_left(), 2);
    }

    #[test]
    fn too_many_refused_rows_are_a_failure_and_the_first_failure_counts() {
        let mut ledger = ledger();
        ledger.note(written(4, 2));
        assert!(ledger.take_failure().is_none());
        ledger.note(written(5, 1));
        ledger.note(Report {
            failure: Some(Failure::Unavailable(String::new())),
            ..Report::default()
        });
        assert!(matches!(
            ledger.take_failure(),
            Some(Failure::Unfinished(_))
        ));
        assert!(ledger.take_failure().is_none());
    }
}
