//! What the checks of a site from a location come to in an hour.

use jiff::Timestamp;

use crate::histogram::Histogram;
use crate::response_times::{PHASES, ResponseTimes};

/// A check, as far as it counts; columns of the table `checks`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) checked_at: Timestamp,
    pub(crate) scheduled_at: Option<Timestamp>,
    pub(crate) interval_ms: Option<i32>,
    pub(crate) outcome: i16,
    pub(crate) up: Option<bool>,
    pub(crate) maintenance: bool,
    /// Whether there is a status. It means that an answer came: how long a timeout took is not a
    /// response time.
    pub(crate) is_answered: bool,
    /// How long each phase took, in microseconds; `None`: there was no such phase.
    pub(crate) phases: [Option<i32>; PHASES],
}

/// The sums; columns of the tables `checks_hourly` and `response_times_hourly`.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) checks: i32,
    pub(crate) up: i32,
    pub(crate) down: i32,
    pub(crate) unknown: i32,
    pub(crate) maintenance: i32,
    pub(crate) outcomes: Histogram,
    /// Of all checks; `None`: there are none.
    pub(crate) span: Option<Span>,
    /// Of those that found the site up or down and count.
    pub(crate) known: Option<Span>,
    pub(crate) response_times: ResponseTimes,
    slots: Vec<Slot>,
}

/// The first and the last of some checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// A check that a schedule asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    scheduled_at: Timestamp,
    interval_ms: Option<i32>,
    is_known: bool,
}

/// How far the checks kept to their schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Slots with a check that found the site up or down.
    pub(crate) slots: i32,
    /// Further such checks of the same slots.
    pub(crate) duplicates: i32,
    /// The intervals of those slots together, in milliseconds.
    pub(crate) covered_ms: i64,
}

impl Statistics {
    /// Counts one more check.
    pub(crate) fn add(&mut self, check: &Check) {
        self.checks += 1;
        Span::extend(&mut self.span, check.checked_at);
        if let Some(scheduled_at) = check.scheduled_at {
            self.slots.push(Slot {
                scheduled_at,
                interval_ms: check.interval_ms,
                is_known: check.up.is_some(),
            });
        }
        if check.maintenance {
            self.maintenance += 1;
            return;
        }
        self.outcomes.count(i32::from(check.outcome), 1);
        match check.up {
            Some(true) => self.up += 1,
            Some(false) => self.down += 1,
            None => {
                self.unknown += 1;
                return;
            }
        }
        Span::extend(&mut self.known, check.checked_at);
        if check.is_answered {
            self.response_times.count(&check.phases);
        }
    }

    /// `None`: no schedule asked for any of the checks. Of a check that could not be made nothing is
    /// known: it covers nothing.
    pub(crate) fn coverage(&mut self) -> Option<Coverage> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots.sort_unstable();
        let mut coverage = Coverage::default();
        for slot in self.slots.chunk_by(|a, b| a.scheduled_at == b.scheduled_at) {
            let known = slot.iter().filter(|check| check.is_known).count();
            if known > 0 {
                let interval_ms = slot.iter().filter_map(|check| check.interval_ms).max();
                coverage.slots += 1;
                coverage.duplicates += i32::try_from(known - 1).unwrap_or(i32::MAX);
                coverage.covered_ms += i64::from(interval_ms.unwrap_or(0));
            }
        }
        Some(coverage)
    }
}

impl Span {
    fn extend(span: &mut Option<Self>, at: Timestamp) {
        let known = span.get_or_insert(Self {
            first: at,
            last: at,
        });
        known.first = known.first.min(at);
        known.last = known.last.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn check(second: i64, up: Option<bool>) -> Check {
        Check {
            checked_at: at(second),
            scheduled_at: Some(at(second / 60 * 60)),
            interval_ms: Some(60_000),
            outcome: match up {
                Some(true) => 0,
                Some(false) => 1,
                None => 13,
            },
            up,
            maintenance: false,
            is_answered: up.is_some(),
            phases: [Some(2_000), None, Some(1_000), None, None, None],
        }
    }

    fn of(checks: &[Check]) -> Statistics {
        let mut statistics = Statistics::default();
        for check in checks {
            statistics.add(check);
        }
        statistics
    }

    #[test]
    fn each_check_counts_once_and_in_any_order() {
        let during_work = Check {
            maintenance: true,
            ..check(400, Some(false))
        };
        let found = of(&[
            check(130, Some(true)),
            during_work,
            check(10, None),
            check(70, Some(false)),
        ]);
        assert_eq!(
            [
                found.checks,
                found.up,
                found.down,
                found.unknown,
                found.maintenance
            ],
            [4, 1, 1, 1, 1]
        );
        let outcomes: Vec<i32> = found
            .outcomes
            .elements()
            .iter()
            .map(|one| one >> 22)
            .collect();
        assert_eq!(outcomes, [0, 1, 13]);
        let span = |first, last| {
            Some(Span {
                first: at(first),
                last: at(last),
            })
        };
        assert_eq!(found.span, span(10, 400));
        assert_eq!(found.known, span(70, 130));
    }

    #[test]
    fn only_answers_have_response_times() {
        let timeout = Check {
            is_answered: false,
            ..check(10, Some(false))
        };
        let during_work = Check {
            maintenance: true,
            ..check(20, Some(true))
        };
        let mut found = of(&[timeout, during_work, check(30, None)]);
        assert!(found.response_times.is_empty());
        found.add(&check(40, Some(true)));
        assert!(!found.response_times.is_empty());
    }

    #[test]
    fn a_slot_is_covered_once_and_by_what_is_known() {
        let unscheduled = Check {
            scheduled_at: None,
            ..check(10, Some(true))
        };
        assert_eq!(of(&[unscheduled]).coverage(), None);
        let longer = Check {
            interval_ms: Some(90_000),
            ..check(70, None)
        };
        let found = of(&[
            check(10, Some(true)),
            check(75, Some(false)),
            check(20, Some(true)),
            longer,
            check(130, None),
        ])
        .coverage();
        assert_eq!(
            found,
            Some(Coverage {
                slots: 2,
                duplicates: 1,
                covered_ms: 60_000 + 90_000,
            })
        );
    }
}
