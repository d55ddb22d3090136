//! The work of a run, known before it starts: what lies between the stored offset and the end of
//! each partition as it is now.

mod survey;

pub(crate) use survey::Survey;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sitewatch_kafka::{PartitionBounds, Range};

use crate::settings::{OffsetReset, Start};

/// Offsets that are passed over because Kafka no longer has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) partition: i32,
    /// Where recording had got to.
    pub(crate) from: i64,
    /// Where it goes on.
    pub(crate) to: i64,
    pub(crate) reason: Reason,
}

/// Why Kafka does not have what comes after the stored offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Retention,
    Recreated,
}

impl Loss {
    /// Messages lost, as far as offsets tell; 0 when the topic was recreated and nobody knows.
    pub(crate) fn messages(&self) -> u64 {
        match self.reason {
            Reason::Retention => u64::try_from(self.to - self.from).unwrap_or(0),
            Reason::Recreated => 0,
        }
    }
}

/// For people, in the log and in `kafka_losses`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "Kafka's retention removed messages that were not recorded yet",
            Self::Recreated => "the topic was deleted and recreated",
        })
    }
}

/// What a run will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What to read of each partition that has something pending.
    pub(crate) ranges: Vec<Range>,
    /// What is passed over.
    pub(crate) losses: Vec<Loss>,
}

impl Plan {
    /// Compares what Kafka has with what is recorded. `recreated` are partitions whose stored
    /// offset is one of another topic that had the same name. [`Start::Earliest`] reads every
    /// partition from its first message, whatever is stored; what is lost is lost all the same.
    ///
    /// # Errors
    /// With [`OffsetReset::Fail`], the losses that a person must decide on.
    pub(crate) fn new(
        bounds: &[PartitionBounds],
        stored: &BTreeMap<i32, i64>,
        recreated: &BTreeSet<i32>,
        reset: OffsetReset,
        start: Start,
    ) -> Result<Self, Vec<Loss>> {
        let mut plan = Self::default();
        for bound in bounds {
            let next = match stored.get(&bound.partition) {
                // A partition that was never drained is read from its first message.
                None => bound.first,
                Some(&stored) => match lost(bound, stored, recreated) {
                    None if start == Start::Earliest => bound.first,
                    None => stored,
                    Some(reason) => {
                        let to = match reset {
                            OffsetReset::Latest if start != Start::Earliest => bound.end,
                            OffsetReset::Latest | OffsetReset::Earliest | OffsetReset::Fail => {
                                bound.first
                            }
                        };
                        plan.losses.push(Loss {
                            partition: bound.partition,
                            from: stored,
                            to,
                            reason,
                        });
                        to
                    }
                },
            };
            if next < bound.end {
                plan.ranges.push(Range {
                    partition: bound.partition,
                    next,
                    end: bound.end,
                });
            }
        }
        if reset == OffsetReset::Fail && !plan.losses.is_empty() {
            return Err(plan.losses);
        }
        Ok(plan)
    }

    /// Offsets to read in all; the messages are as many or fewer.
    pub(crate) fn pending(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| u64::try_from(range.end - range.next).unwrap_or(0))
            .sum()
    }
}

fn lost(bound: &PartitionBounds, stored: i64, recreated: &BTreeSet<i32>) -> Option<Reason> {
    // Without ids a recreated topic shows only while it is shorter than what was recorded.
    if recreated.contains(&bound.partition) || stored > bound.end {
        Some(Reason::Recreated)
    } else if stored < bound.first {
        Some(Reason::Retention)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(partition: i32, first: i64, end: i64) -> PartitionBounds {
        PartitionBounds {
            partition,
            first,
            end,
        }
    }

    #[test]
    fn pending_is_what_lies_between_stored_and_end() {
        let plan = Plan::new(
            &[
                bound(0, 0, 10),
                bound(1, 5, 9),
                bound(2, 3, 3),
                bound(3, 0, 4),
            ],
            &BTreeMap::from([(0, 4), (3, 4)]),
            &BTreeSet::new(),
            OffsetReset::Fail,
            Start::Stored,
        )
        .unwrap();
        assert_eq!(
            plan.ranges,
            [
                Range {
                    partition: 0,
                    next: 4,
                    end: 10
                },
                Range {
                    partition: 1,
                    next: 5,
                    end: 9
                }
            ]
        );
        assert_eq!(plan.pending(), 10);
        assert_eq!(plan.losses, []);
    }

    #[test]
    fn what_kafka_no_longer_has_is_a_loss_and_never_silent() {
        let bounds = [bound(0, 7, 10), bound(1, 0, 2), bound(2, 0, 9)];
        let stored = BTreeMap::from([(0, 3), (1, 50), (2, 4)]);
        let recreated = BTreeSet::from([2]);
        let plan = |reset, start| Plan::new(&bounds, &stored, &recreated, reset, start);
        let earliest = plan(OffsetReset::Earliest, Start::Stored).unwrap();
        assert_eq!(
            earliest
                .losses
                .iter()
                .map(|loss| (loss.partition, loss.from, loss.to, loss.messages()))
                .collect::<Vec<_>>(),
            [(0, 3, 7, 4), (1, 50, 0, 0), (2, 4, 0, 0)]
        );
        assert_eq!(earliest.pending(), 14);

        let latest = plan(OffsetReset::Latest, Start::Stored).unwrap();
        assert_eq!(latest.pending(), 0);
        assert_eq!(
            latest.losses.iter().map(Loss::messages).collect::<Vec<_>>(),
            [7, 0, 0]
        );

        let refused = plan(OffsetReset::Fail, Start::Stored).unwrap_err();
        assert_eq!(refused.len(), 3);
    }

    #[test]
    fn beginning_anew_hides_no_loss() {
        let bounds = [
            bound(0, 60, 100),
            bound(1, 0, 100),
            bound(2, 0, 9),
            bound(3, 5, 5),
            bound(4, 2, 9),
        ];
        let stored = BTreeMap::from([(0, 30), (1, 80), (2, 4), (3, 3)]);
        let recreated = BTreeSet::from([2]);
        let plan = |reset| Plan::new(&bounds, &stored, &recreated, reset, Start::Earliest);
        for reset in [OffsetReset::Earliest, OffsetReset::Latest] {
            let plan = plan(reset).unwrap();
            assert_eq!(
                plan.losses
                    .iter()
                    .map(|loss| (loss.partition, loss.from, loss.to, loss.messages()))
                    .collect::<Vec<_>>(),
                [(0, 30, 60, 30), (2, 4, 0, 0), (3, 3, 5, 2)]
            );
            assert_eq!(
                plan.ranges
                    .iter()
                    .map(|range| (range.partition, range.next, range.end))
                    .collect::<Vec<_>>(),
                [(0, 60, 100), (1, 0, 100), (2, 0, 9), (4, 2, 9)]
            );
        }
        assert_eq!(plan(OffsetReset::Fail).unwrap_err().len(), 3);
    }
}
