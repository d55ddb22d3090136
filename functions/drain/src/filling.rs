//! The batches being filled, one for each writer, and when one is to be written.

use std::collections::BTreeMap;

use sitewatch_kafka::Range;

use crate::batch::{Batch, Part};
use crate::decode::{DeadLetter, Decoder};
use crate::read::Message;

/// Memory of the batches being filled, all together, at which one is written although it could
/// hold more messages. Those being written take as much again.
pub(crate) const MAX_BUFFERED: usize = 12 << 20;

/// The batches being filled.
pub(crate) struct Filling {
    batch_size: usize,
    keeps_originals: bool,
    partitions: BTreeMap<i32, Open>,
    writers: Vec<Lane>,
}

/// A partition being read.
struct Open {
    writer: usize,
    part: Part,
    end: i64,
    /// Another drain was quicker.
    given_up: bool,
}

/// What a writer has to do.
#[derive(Clone, Default)]
struct Lane {
    /// Offsets of its partitions, those done with as well.
    offsets: u64,
    /// Of the batch being filled.
    messages: usize,
    dead_letters: u64,
    bytes: usize,
}

impl Filling {
    /// Nothing yet. `batch_size` is the most messages of a batch.
    pub(crate) fn new(batch_size: usize, writers: usize) -> Self {
        Self {
            batch_size,
            keeps_originals: false,
            partitions: BTreeMap::new(),
            writers: vec![Lane::default(); writers],
        }
    }

    /// The same, keeping the message behind each row: a source cannot be asked for it again.
    pub(crate) fn with_originals(self) -> Self {
        Self {
            keeps_originals: true,
            ..self
        }
    }

    /// Begins with further ranges. A partition is the writer's that has least to do; what is left
    /// of partitions that are done waits for the next ones' messages, in the same batch.
    pub(crate) fn begin(&mut self, ranges: &[Range]) {
        for range in ranges {
            let lanes = self.writers.iter().enumerate();
            let Some((writer, _)) = lanes.min_by_key(|(_, lane)| lane.offsets) else {
                return;
            };
            let pending = u64::try_from(range.end - range.next).unwrap_or(0);
            self.writers[writer].offsets = self.writers[writer].offsets.saturating_add(pending);
            let mut part = Part::starting_at(range.partition, range.next);
            if self.keeps_originals {
                part = part.with_originals();
            }
            let open = Open {
                writer,
                part,
                end: range.end,
                given_up: false,
            };
            self.partitions.insert(range.partition, open);
        }
    }

    /// Adds a message to its partition's part of a batch.
    pub(crate) fn add(&mut self, message: &Message<'_>, decoder: &mut Decoder) {
        self.fill(message.record().partition, |open| {
            open.part.add(message, decoder);
        });
    }

    /// Adds a dead letter, behind which the partition goes on at `next`.
    pub(crate) fn add_dead_letter(&mut self, partition: i32, dead_letter: DeadLetter, next: i64) {
        self.fill(partition, |open| {
            open.part.add_dead_letter(dead_letter, next);
        });
    }

    /// There is nothing below `next` that was not added.
    pub(crate) fn reach(&mut self, partition: i32, next: i64) {
        self.fill(partition, |open| open.part.next = open.part.next.max(next));
    }

    fn fill(&mut self, partition: i32, fill: impl FnOnce(&mut Open)) {
        let Some(open) = self.partitions.get_mut(&partition) else {
            return;
        };
        if open.given_up {
            return;
        }
        let lane = &mut self.writers[open.writer];
        lane.subtract(&open.part);
        fill(open);
        lane.add(&open.part);
    }

    /// The writer whose batch is to be written now that something was added to `partition`: its own
    /// if that is full, the largest if all together take too much memory. With as many dead letters
    /// as `max_dead_letters` a batch is full: what comes before the one too many is recorded, so
    /// that the next run gets further.
    pub(crate) fn full(&self, partition: i32, max_dead_letters: u64) -> Option<usize> {
        let writer = self.partitions.get(&partition)?.writer;
        let lane = &self.writers[writer];
        if lane.messages >= self.batch_size
            || lane.dead_letters > 0 && lane.dead_letters >= max_dead_letters
        {
            return Some(writer);
        }
        let buffered: usize = self.writers.iter().map(|lane| lane.bytes).sum();
        if buffered <= MAX_BUFFERED {
            return None;
        }
        let lanes = self.writers.iter().enumerate();
        lanes
            .max_by_key(|(_, lane)| lane.bytes)
            .map(|(writer, _)| writer)
    }

    /// How many writers there are to fill batches for.
    pub(crate) fn writers(&self) -> usize {
        self.writers.len()
    }

    /// Takes a writer's batch out; `None` when there is nothing to write.
    pub(crate) fn take(&mut self, writer: usize) -> Option<Batch> {
        let lane = &mut self.writers[writer];
        let mut parts = Vec::new();
        for open in self.partitions.values_mut() {
            if open.writer == writer && !open.part.is_idle() && !open.given_up {
                lane.subtract(&open.part);
                parts.push(open.part.take());
            }
        }
        (!parts.is_empty()).then_some(Batch { writer, parts })
    }

    /// Another drain has the partition: what was read of it is not written.
    pub(crate) fn give_up(&mut self, partition: i32) {
        self.fill(partition, |open| {
            open.given_up = true;
            open.part.take();
        });
    }

    /// The partition cannot be read on: what was read of it is written. Returns how many offsets
    /// are left.
    pub(crate) fn end_early(&mut self, partition: i32) -> u64 {
        let Some(open) = self.partitions.get_mut(&partition) else {
            return 0;
        };
        let end = std::mem::replace(&mut open.end, open.part.next);
        u64::try_from(end - open.part.next).unwrap_or(0)
    }

    /// Begins the partition anew at an offset, this time keeping the messages.
    pub(crate) fn go_back(&mut self, partition: i32, from: i64) {
        if let Some(open) = self.partitions.get_mut(&partition) {
            open.given_up = false;
        }
        self.fill(partition, |open| {
            open.part = Part::starting_at(partition, from).with_originals();
        });
    }

    /// What is still to be read of each partition.
    pub(crate) fn unread(&self) -> Vec<Range> {
        self.partitions
            .iter()
            .filter(|(_, open)| !open.given_up && open.part.next < open.end)
            .map(|(partition, open)| Range {
                partition: *partition,
                next: open.part.next,
                end: open.end,
            })
            .collect()
    }
}

impl Lane {
    fn add(&mut self, part: &Part) {
        self.messages += part.len();
        self.dead_letters += part.dead_letters.len() as u64;
        self.bytes += part.bytes();
    }

    fn subtract(&mut self, part: &Part) {
        self.messages -= part.len();
        self.dead_letters -= part.dead_letters.len() as u64;
        self.bytes -= part.bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Window;
    use crate::fake::event;

    fn add(filling: &mut Filling, partition: i32, offset: i64) {
        let mut decoder = Decoder::new(Window::ours());
        let value = event(0);
        let value = Some(&*value);
        filling.add(
            &Message::Value {
                partition,
                offset,
                value,
            },
            &mut decoder,
        );
    }

    fn filling(batch_size: usize) -> Filling {
        let mut filling = Filling::new(batch_size, 2);
        filling.begin(&[0, 1].map(|partition| Range {
            partition,
            next: 0,
            end: 1_000_000,
        }));
        filling
    }

    #[test]
    fn a_batch_is_full_when_it_has_as_many_messages_as_it_may() {
        let mut filling = filling(2);
        add(&mut filling, 0, 0);
        add(&mut filling, 1, 0);
        assert_eq!(filling.full(0, u64::MAX), None);
        add(&mut filling, 0, 1);
        assert_eq!(filling.full(0, u64::MAX), Some(0));
        assert_eq!(filling.full(1, u64::MAX), None);
    }

    #[test]
    fn a_batch_is_full_when_it_has_as_many_dead_letters_as_there_may_be() {
        let mut filling = filling(10);
        filling.add_dead_letter(0, DeadLetter::unreadable(0, 5, "a test"), 5);
        assert_eq!(filling.full(0, 2), None);
        assert_eq!(filling.full(0, 1), Some(0));
        assert_eq!(filling.full(0, 0), Some(0));
        // It has none.
        assert_eq!(filling.full(1, 0), None);
    }

    #[test]
    fn memory_is_bounded_by_writing_the_largest() {
        let mut filling = filling(1_000_000);
        let long = "x".repeat(MAX_BUFFERED / 3);
        for (partition, next) in [(0, 1), (0, 2), (1, 1)] {
            assert_eq!(filling.full(partition, u64::MAX), None);
            let dead_letter = DeadLetter::unreadable(next - 1, next, &long);
            filling.add_dead_letter(partition, dead_letter, next);
        }
        assert_eq!(filling.full(1, u64::MAX), Some(0));
        let largest = filling.take(0).unwrap();
        assert_eq!(largest.parts.len(), 1);
        assert_eq!((largest.parts[0].from, largest.parts[0].next), (0, 2));
        assert_eq!(filling.full(1, u64::MAX), None);
    }

    #[test]
    fn a_batch_holds_several_partitions_those_of_an_earlier_share_too() {
        let range = |partition, end| Range {
            partition,
            next: 0,
            end,
        };
        let mut filling = Filling::new(3, 2);
        filling.begin(&[range(0, 1), range(1, 5)]);
        add(&mut filling, 0, 0);
        // The first writer has least to do.
        filling.begin(&[range(2, 2), range(3, 1)]);
        add(&mut filling, 2, 0);
        assert_eq!(filling.full(2, u64::MAX), None);
        add(&mut filling, 2, 1);
        assert_eq!(filling.full(2, u64::MAX), Some(0));
        let batch = filling.take(0).unwrap();
        let parts: Vec<(i32, i64, i64)> = batch
            .parts
            .iter()
            .map(|part| (part.partition, part.from, part.next))
            .collect();
        assert_eq!((batch.writer, parts), (0, vec![(0, 0, 1), (2, 0, 2)]));
        assert!(filling.take(0).is_none());
    }

    #[test]
    fn holes_move_a_partition_and_nothing_new_is_not_written() {
        let mut filling = filling(10);
        assert!(filling.take(0).is_none());
        filling.reach(0, 7);
        filling.reach(0, 5);
        let batch = filling.take(0).unwrap();
        assert_eq!((batch.parts[0].from, batch.parts[0].next), (0, 7));
        assert_eq!((batch.parts[0].len(), filling.unread()[0].next), (0, 7));
    }

    #[test]
    fn what_another_drain_has_is_neither_written_nor_read_on() {
        let mut filling = filling(10);
        add(&mut filling, 0, 0);
        filling.give_up(0);
        add(&mut filling, 0, 1);
        assert!(filling.take(0).is_none());
        let unread: Vec<i32> = filling.unread().iter().map(|it| it.partition).collect();
        assert_eq!(unread, [1]);
    }

    #[test]
    fn a_partition_that_goes_back_keeps_its_messages_and_the_others_keep_what_was_read() {
        let mut filling = Filling::new(10, 1);
        filling.begin(&[0, 1].map(|partition| Range {
            partition,
            next: 0,
            end: 10,
        }));
        add(&mut filling, 0, 4);
        add(&mut filling, 1, 0);
        filling.go_back(0, 2);
        add(&mut filling, 0, 2);
        let batch = filling.take(0).unwrap();
        let [back, other] = &batch.parts[..] else {
            panic!("{batch:?}");
        };
        assert_eq!((back.from, back.next), (2, 3));
        assert_eq!(back.originals.as_ref().unwrap()[0].offset, 2);
        assert_eq!((other.from, other.next, other.len()), (0, 1, 1));
        assert!(other.originals.is_none());
    }
}
