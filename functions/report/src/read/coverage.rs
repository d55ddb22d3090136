//! For which time a site should have been looked at from a location: what the time that its checks
//! cover is compared with.

use jiff::{SignedDuration, Timestamp};

/// Schedulers and drains take their time: a site whose newest check is younger than this, or than
/// three intervals, is looked at still, as `reporting_limit` in the database has it.
const GRACE: SignedDuration = SignedDuration::from_mins(10);

/// The time for which a site should have been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The first slot of all.
    pub(crate) from: Timestamp,
    /// The end of what the newest check covers while checks come in, and now once they do not.
    pub(crate) until: Timestamp,
}

impl Watched {
    /// Of a site from its first slot on, by its newest check and how far apart its slots are.
    pub(super) fn new(
        from: Timestamp,
        newest: Timestamp,
        interval: SignedDuration,
        now: Timestamp,
    ) -> Self {
        let is_current = now.duration_since(newest) <= GRACE.max(interval * 3);
        Self {
            from,
            until: if is_current {
                newest
                    .saturating_add(interval)
                    .map_or(now, |end| end.min(now))
            } else {
                now
            },
        }
    }

    /// How much of it is in a stretch, in milliseconds.
    pub(crate) fn within(&self, from: Timestamp, until: Timestamp) -> i64 {
        between_ms(self.from.max(from), self.until.min(until))
    }
}

/// Milliseconds; none where the end is before the beginning.
pub(super) fn between_ms(from: Timestamp, until: Timestamp) -> i64 {
    i64::try_from(until.duration_since(from).as_millis()).map_or(0, |ms| ms.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + minutes * 60).unwrap()
    }

    #[test]
    fn what_has_not_been_drained_yet_is_no_hole_and_what_stopped_is_one() {
        let minute = SignedDuration::from_mins(1);
        let watched = |newest| Watched::new(at(0), at(newest), minute, at(100));
        assert_eq!(watched(97).until, at(98));
        assert_eq!(watched(90).until, at(91));
        assert_eq!(watched(89).until, at(100));
        let hourly = Watched::new(at(0), at(70), minute * 60, at(100));
        assert_eq!(hourly.until, at(100));
    }

    #[test]
    fn a_stretch_counts_as_far_as_the_site_was_watched() {
        let watched = Watched {
            from: at(10),
            until: at(50),
        };
        for (from, until, minutes) in [
            (0, 60, 40),
            (20, 60, 30),
            (0, 20, 10),
            (50, 60, 0),
            (0, 5, 0),
        ] {
            assert_eq!(watched.within(at(from), at(until)), minutes * 60_000);
        }
    }
}
