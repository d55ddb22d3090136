//! Where each range stands. Pure, so that the rules for reaching an end are tested without a
//! broker.

use super::Range;

/// The ranges being read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    ranges: Vec<Range>,
}

/// What a message, or a new position, means for its range.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not ours to deliver: of a range that is finished, or delivered before.
    Ignore,
    /// The message is the next of its range.
    Deliver { last: bool },
    /// There is nothing below this offset that has not been delivered.
    Move { next: i64, last: bool },
}

impl Progress {
    pub(super) fn new(ranges: &[Range]) -> Self {
        let ranges = ranges
            .iter()
            .copied()
            .filter(|range| range.next < range.end)
            .collect();
        Self { ranges }
    }

    /// The ranges with something left.
    pub(super) fn open(&self) -> &[Range] {
        &self.ranges
    }

    pub(super) fn find(&self, partition: i32) -> Option<Range> {
        self.ranges
            .iter()
            .copied()
            .find(|range| range.partition == partition)
    }

    /// Gives up a range; returns it if it was open.
    pub(super) fn close(&mut self, partition: i32) -> Option<Range> {
        let index = self
            .ranges
            .iter()
            .position(|range| range.partition == partition)?;
        Some(self.ranges.swap_remove(index))
    }

    /// A message has arrived.
    pub(super) fn message(&mut self, partition: i32, offset: i64) -> Step {
        let Some(range) = self.range(partition) else {
            return Step::Ignore;
        };
        if offset < range.next {
            return Step::Ignore;
        }
        if offset >= range.end {
            // Messages come in order: whatever was between this one and the last is no message.
            return self.reach(partition, offset);
        }
        range.next = offset + 1;
        let last = range.next == range.end;
        if last {
            self.close(partition);
        }
        Step::Deliver { last }
    }

    /// The partition holds nothing undelivered below `offset`.
    pub(super) fn reach(&mut self, partition: i32, offset: i64) -> Step {
        let Some(range) = self.range(partition) else {
            return Step::Ignore;
        };
        let next = offset.min(range.end);
        if next <= range.next {
            return Step::Ignore;
        }
        range.next = next;
        let last = next == range.end;
        if last {
            self.close(partition);
        }
        Step::Move { next, last }
    }

    fn range(&mut self, partition: i32) -> Option<&mut Range> {
        self.ranges
            .iter_mut()
            .find(|range| range.partition == partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(next: i64, end: i64) -> Progress {
        Progress::new(&[Range {
            partition: 3,
            next,
            end,
        }])
    }

    #[test]
    fn the_last_message_closes_its_range() {
        let mut progress = one(5, 7);

        assert_eq!(progress.message(3, 5), Step::Deliver { last: false });
        assert_eq!(progress.message(3, 6), Step::Deliver { last: true });
        assert_eq!(progress.message(3, 7), Step::Ignore);
        assert!(progress.open().is_empty());
    }

    #[test]
    fn a_message_beyond_the_end_proves_that_the_rest_is_empty() {
        let mut progress = one(5, 7);

        assert_eq!(
            progress.message(3, 9),
            Step::Move {
                next: 7,
                last: true
            }
        );
        assert!(progress.open().is_empty());
    }

    #[test]
    fn a_position_below_the_end_moves_and_one_above_it_closes() {
        let mut progress = one(0, 10);

        assert_eq!(
            progress.reach(3, 4),
            Step::Move {
                next: 4,
                last: false
            }
        );
        assert_eq!(progress.reach(3, 4), Step::Ignore);
        assert_eq!(
            progress.reach(3, 12),
            Step::Move {
                next: 10,
                last: true
            }
        );
    }

    #[test]
    fn what_was_delivered_is_not_delivered_again() {
        let mut progress = one(5, 9);

        assert_eq!(progress.message(3, 4), Step::Ignore);
        assert_eq!(progress.message(3, 5), Step::Deliver { last: false });
        assert_eq!(progress.message(3, 5), Step::Ignore);
    }

    #[test]
    fn empty_ranges_are_left_out() {
        assert!(one(7, 7).open().is_empty());
        assert!(one(8, 7).open().is_empty());
    }
}
