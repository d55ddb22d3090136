//! The batches being filled, one for each partition that is read, and when one is to be written.

use std::collections::BTreeMap;

use sitewatch_kafka::Range;

use crate::batch::Batch;
use crate::decode::{DeadLetter, Decoder, Row};
use crate::read::Message;

/// Memory of the batches being filled, all together, at which one is written although it could
/// hold more messages.
pub(crate) const MAX_BUFFERED: usize = 8 << 20;

/// Memory that a row takes, beside its texts.
const ROW_BYTES: usize = size_of::<Row>();

/// The batches being filled.
pub(crate) struct Filling {
    batch_size: usize,
    keeps_originals: bool,
    partitions: BTreeMap<i32, Open>,
    /// About how much memory they take.
    buffered: usize,
}

/// A partition being read.
struct Open {
    batch: Batch,
    end: i64,
    /// Another drain was quicker.
    given_up: bool,
}

impl Filling {
    /// Nothing yet. `batch_size` is the most messages of a batch.
    pub(crate) fn new(batch_size: usize) -> Self {
        Self {
            batch_size,
            keeps_originals: false,
            partitions: BTreeMap::new(),
            buffered: 0,
        }
    }

    /// The same, keeping the message behind each row: a source cannot be asked for it again.
    pub(crate) fn with_originals(self) -> Self {
        Self {
            keeps_originals: true,
            ..self
        }
    }

    /// Begins with ranges, in place of those that are done.
    pub(crate) fn begin(&mut self, ranges: &[Range]) {
        let room = MAX_BUFFERED / ROW_BYTES / ranges.len().max(1);
        self.partitions = ranges
            .iter()
            .map(|range| {
                let mut batch = Batch::starting_at(range.partition, range.next);
                let pending = usize::try_from(range.end - range.next).unwrap_or(0);
                batch.expect(self.batch_size.min(pending).min(room));
                if self.keeps_originals {
                    batch = batch.with_originals();
                }
                let open = Open {
                    batch,
                    end: range.end,
                    given_up: false,
                };
                (range.partition, open)
            })
            .collect();
        self.buffered = 0;
    }

    /// Adds a message to its partition's batch.
    pub(crate) fn add(&mut self, message: &Message<'_>, decoder: &mut Decoder) {
        self.fill(message.record().partition, |batch| {
            batch.add(message, decoder);
        });
    }

    /// Adds a dead letter, behind which the partition goes on at `next`.
    pub(crate) fn add_dead_letter(&mut self, partition: i32, dead_letter: DeadLetter, next: i64) {
        self.fill(partition, |batch| batch.add_dead_letter(dead_letter, next));
    }

    /// There is nothing below `next` that was not added.
    pub(crate) fn reach(&mut self, partition: i32, next: i64) {
        self.fill(partition, |batch| batch.next = batch.next.max(next));
    }

    fn fill(&mut self, partition: i32, fill: impl FnOnce(&mut Batch)) {
        if let Some(open) = self.partitions.get_mut(&partition) {
            let before = open.batch.bytes();
            fill(&mut open.batch);
            self.buffered += open.batch.bytes() - before;
        }
    }

    /// The partition whose batch is to be written now that something was added to `added`: its own
    /// if that is full, the largest if all together take too much memory. With as many dead letters
    /// as `max_dead_letters` a batch is full: what comes before the one too many is recorded, so
    /// that the next run gets further.
    pub(crate) fn full(&self, added: i32, max_dead_letters: u64) -> Option<i32> {
        let batch = &self.partitions.get(&added)?.batch;
        let dead_letters = batch.dead_letters.len() as u64;
        if batch.len() >= self.batch_size || dead_letters > 0 && dead_letters >= max_dead_letters {
            return Some(added);
        }
        if self.buffered <= MAX_BUFFERED {
            return None;
        }
        self.partitions
            .iter()
            .max_by_key(|(_, open)| open.batch.bytes())
            .map(|(partition, _)| *partition)
    }

    /// The partitions.
    pub(crate) fn partitions(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    /// Takes a partition's batch out to be written; `None` when there is nothing to write.
    pub(crate) fn take(&mut self, partition: i32) -> Option<Batch> {
        let open = self.partitions.get_mut(&partition)?;
        if open.given_up || open.batch.is_idle() {
            return None;
        }
        let batch = open.batch.take();
        self.buffered = self.buffered.saturating_sub(batch.bytes());
        Some(batch)
    }

    /// Another drain has the partition: what was read of it is not written.
    pub(crate) fn give_up(&mut self, partition: i32) {
        if let Some(open) = self.partitions.get_mut(&partition) {
            open.given_up = true;
        }
    }

    /// The partition cannot be read on: what was read of it is written. Returns how many offsets
    /// are left.
    pub(crate) fn end_early(&mut self, partition: i32) -> u64 {
        let Some(open) = self.partitions.get_mut(&partition) else {
            return 0;
        };
        let end = std::mem::replace(&mut open.end, open.batch.next);
        u64::try_from(end - open.batch.next).unwrap_or(0)
    }

    /// Begins the partition's batch anew at an offset, this time keeping the messages.
    pub(crate) fn go_back(&mut self, partition: i32, from: i64) {
        if let Some(open) = self.partitions.get_mut(&partition) {
            self.buffered = self.buffered.saturating_sub(open.batch.bytes());
            open.batch = Batch::starting_at(partition, from).with_originals();
            open.given_up = false;
        }
    }

    /// What is still to be read of each partition.
    pub(crate) fn unread(&self) -> Vec<Range> {
        self.partitions
            .iter()
            .filter(|(_, open)| !open.given_up)
            .map(|(partition, open)| Range {
                partition: *partition,
                next: open.batch.next,
                end: open.end,
            })
            .collect()
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
        let mut filling = Filling::new(batch_size);
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
        assert_eq!((largest.from, largest.next), (0, 2));
        assert_eq!(filling.full(1, u64::MAX), None);
    }

    #[test]
    fn holes_move_a_partition_and_nothing_new_is_not_written() {
        let mut filling = filling(10);
        assert!(filling.take(0).is_none());
        filling.reach(0, 7);
        filling.reach(0, 5);
        let batch = filling.take(0).unwrap();
        assert_eq!((batch.from, batch.next, batch.len()), (0, 7, 0));
        assert_eq!(filling.unread()[0].next, 7);
    }

    #[test]
    fn what_another_drain_has_is_neither_written_nor_read_on() {
        let mut filling = filling(10);
        add(&mut filling, 0, 0);
        filling.give_up(0);
        assert!(filling.take(0).is_none());
        let unread: Vec<i32> = filling.unread().iter().map(|it| it.partition).collect();
        assert_eq!(unread, [1]);
    }

    #[test]
    fn a_partition_that_goes_back_keeps_its_messages() {
        let mut filling = filling(10);
        add(&mut filling, 0, 4);
        filling.go_back(0, 2);
        add(&mut filling, 0, 2);
        let batch = filling.take(0).unwrap();
        assert_eq!((batch.from, batch.next), (2, 3));
        let originals = batch.originals.unwrap();
        assert_eq!((originals.len(), originals[0].offset), (1, 2));
    }
}
