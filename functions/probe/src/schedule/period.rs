//! The period that a run is responsible for.

use std::time::Duration;

/// A stretch of time, in nanoseconds since the epoch; its end is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: i128,
    pub(crate) until: i128,
}

impl Period {
    /// The period of a run that started at `now`, when the scheduler starts one every `length`,
    /// `phase` after each multiple of it.
    pub(crate) fn of_run(now: i128, length: Duration, phase: Duration) -> Self {
        let length = nanoseconds(length).max(1);
        let phase = nanoseconds(phase).rem_euclid(length);
        // Rounding to the nearest makes early and late starts by up to half a period the same.
        let from = (now - phase + length / 2).div_euclid(length) * length + phase;
        Self {
            from,
            until: from + length,
        }
    }

    /// How far from the middle of doubt a run started: its distance from the period's beginning.
    pub(crate) fn drift(&self, now: i128) -> Duration {
        let drift = (now - self.from).unsigned_abs();
        Duration::from_nanos(u64::try_from(drift).unwrap_or(u64::MAX))
    }
}

pub(super) fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    #[test]
    fn early_and_late_starts_have_the_same_period() {
        let minute = Duration::from_secs(60);
        for late in [-29, -3, 0, 2, 29] {
            let period = Period::of_run((6_000 + late) * SECOND, minute, Duration::ZERO);
            assert_eq!(
                period,
                Period {
                    from: 6_000 * SECOND,
                    until: 6_060 * SECOND
                },
                "{late}"
            );
        }
    }

    #[test]
    fn a_phase_moves_the_rounding_to_where_the_scheduler_starts() {
        let (length, phase) = (Duration::from_secs(300), Duration::from_secs(150));
        for late in [-5, 0, 5] {
            let period = Period::of_run((300_150 + late) * SECOND, length, phase);
            assert_eq!(period.from, 300_150 * SECOND, "{late}");
        }
    }
}
