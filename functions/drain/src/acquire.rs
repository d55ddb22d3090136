//! Acquiring: a share of the plan at a time, as far as no other drain has its partitions.

use std::collections::{BTreeMap, BTreeSet};

use sitewatch::run::Failure;
use sitewatch_kafka::Range;

use crate::settings::Start;
use crate::store::PartitionLocks;

/// Offsets that a drain acquires at a time, whole partitions at least. Few enough that a second
/// drain, started on the same backlog, finds partitions to work on, and that a batch is of few
/// sites: their rows lie close together, and each has one state to be written.
const SHARE: u64 = 100_000;

/// Cuts the plan into what is acquired at a time.
pub(crate) fn shares(ranges: &[Range], workers: usize) -> Vec<&[Range]> {
    let mut shares = Vec::new();
    let mut rest = ranges;
    while !rest.is_empty() {
        let mut pending = 0;
        let size = rest
            .iter()
            .take_while(|range| {
                let fits = pending < SHARE;
                pending += u64::try_from(range.end - range.next).unwrap_or(0);
                fits
            })
            .count();
        let (share, later) = rest.split_at(size.max(workers.min(rest.len())));
        shares.push(share);
        rest = later;
    }
    shares
}

/// What could be had of a share.
pub(crate) struct Acquired {
    /// What is left to read of the partitions that are ours.
    pub(crate) ranges: Vec<Range>,
    /// Where other drains have got to since the plan was made.
    pub(crate) recorded: BTreeMap<i32, i64>,
    /// Partitions that another drain is at work on.
    pub(crate) busy: BTreeSet<i32>,
}

/// Acquires a share's partitions. `stored` is where recording had got to when the run began; from
/// there, and only from there, [`Start::Earliest`] goes back.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn acquire(
    locks: &mut PartitionLocks,
    share: &[Range],
    start: Start,
    stored: &BTreeMap<i32, i64>,
) -> Result<Acquired, Failure> {
    let back_from = (start == Start::Earliest).then_some(stored);
    let (ours, now) = locks.acquire(share, back_from)?;
    Ok(Acquired::new(share, &ours, &now))
}

impl Acquired {
    /// What a share is worth when `ours` of its partitions are locked, and recording has got to
    /// `now`.
    pub(crate) fn new(share: &[Range], ours: &BTreeSet<i32>, now: &BTreeMap<i32, i64>) -> Self {
        let mut acquired = Self {
            ranges: Vec::new(),
            recorded: BTreeMap::new(),
            busy: BTreeSet::new(),
        };
        for range in share {
            let partition = range.partition;
            // What another drain has recorded since our plan is neither to be read again nor left.
            let stored = now.get(&partition).copied().unwrap_or(range.next);
            if stored > range.next {
                acquired.recorded.insert(partition, stored);
            }
            if stored >= range.end {
                continue;
            }
            if ours.contains(&partition) {
                acquired.ranges.push(Range {
                    next: stored,
                    ..*range
                });
            } else {
                acquired.busy.insert(partition);
            }
        }
        acquired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_few_small_partitions_or_one_large_one_for_each_writer() {
        let sizes = |ends: &[i64], workers: usize| -> Vec<usize> {
            let ranges: Vec<Range> = ends
                .iter()
                .zip(0..)
                .map(|(end, partition)| Range {
                    partition,
                    next: 0,
                    end: *end,
                })
                .collect();
            shares(&ranges, workers)
                .iter()
                .map(|share| share.len())
                .collect()
        };
        assert_eq!(sizes(&[10, 10, 10, 10], 2), [4]);
        assert_eq!(sizes(&[250_000; 4], 2), [2, 2]);
        assert_eq!(sizes(&[250_000; 4], 1), [1, 1, 1, 1]);
        assert_eq!(sizes(&[250_000; 3], 2), [2, 1]);
        assert_eq!(sizes(&[40_000; 4], 1), [3, 1]);
        assert_eq!(sizes(&[], 2), Vec::<usize>::new());
    }

    #[test]
    fn of_a_share_what_others_have_recorded_is_not_read_and_what_they_hold_is_busy() {
        let range = |partition, next, end| Range {
            partition,
            next,
            end,
        };
        let share = [
            range(0, 0, 10),
            range(1, 0, 10),
            range(2, 0, 10),
            range(3, 0, 10),
        ];
        let now = BTreeMap::from([(0, 0), (1, 4), (2, 10), (3, 4)]);
        let acquired = Acquired::new(&share, &BTreeSet::from([0, 1]), &now);
        assert_eq!(acquired.ranges, [range(0, 0, 10), range(1, 4, 10)]);
        assert_eq!(acquired.recorded, BTreeMap::from([(1, 4), (2, 10), (3, 4)]));
        assert_eq!(acquired.busy, BTreeSet::from([3]));
    }
}
