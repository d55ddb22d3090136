//! The slots of each site within a run's period, and when in the run each is made.

use std::time::Duration;

use jiff::Timestamp;
use sitewatch::site::stable_hash;

use super::Period;
use super::period::nanoseconds;

/// A check to be made: which site, how long after the run's start, and for which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) site: usize,
    pub(crate) after: Duration,
    /// `None`: the run is told no period, so that nobody knows when the next one comes.
    pub(crate) slot: Option<Slot>,
}

/// A moment at which a site should be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) at: Timestamp,
    /// From one slot to the next, in milliseconds.
    pub(crate) interval_ms: u32,
}

impl Slot {
    /// `at` and `interval` in nanoseconds; `None` outside the years that a time can be of, and for an
    /// interval of more than 49 days.
    fn new(at: i128, interval: i128) -> Option<Self> {
        Some(Self {
            at: Timestamp::from_nanosecond(at).ok()?,
            interval_ms: u32::try_from(interval / 1_000_000).ok()?,
        })
    }
}

/// Whether the site belongs to shard `index` (from 0) of `count`.
pub(crate) fn in_shard(name: &str, index: u32, count: u32) -> bool {
    // The high bits, scaled: slots use the low ones, so that a shard's sites spread over all slots.
    let high = stable_hash(name) >> 32;
    (high * u64::from(count)) >> 32 == u64::from(index)
}

/// The checks of a run that starts at `now`, in the order in which they are begun.
///
/// `sites` are names and intervals. `period` is what the run is responsible for; `None`: everything
/// is due. `window` is how long the run lives to check sites more than once; `None`: each due site
/// is checked once, at once.
pub(crate) fn plan<'a>(
    sites: impl IntoIterator<Item = (&'a str, Duration)>,
    period: Option<Period>,
    window: Option<Duration>,
    now: i128,
) -> Vec<Due> {
    let mut plan = Vec::new();
    for (site, (name, interval)) in sites.into_iter().enumerate() {
        let slots = Slots::new(name, interval);
        match (period, window) {
            (None, None) => plan.push(Due {
                site,
                after: Duration::ZERO,
                slot: None,
            }),
            (Some(period), None) => {
                let slot = slots.first_from(period.from);
                let length = period.until - period.from;
                if slot < period.until {
                    plan.push(Due {
                        site,
                        after: Duration::ZERO,
                        // What would come round several times is checked once in each period.
                        slot: if slots.interval > length {
                            Slot::new(slot, slots.interval)
                        } else {
                            Slot::new(period.from, length)
                        },
                    });
                }
            }
            (None, Some(window)) => {
                // Everything is due at least once; what comes round within the window, at its slots.
                let open = Period {
                    from: now,
                    until: now + nanoseconds(window),
                };
                let before = plan.len();
                plan.extend(slots.within(open, open.until, now).map(|(after, _)| Due {
                    site,
                    after,
                    slot: None,
                }));
                if plan.len() == before {
                    plan.push(Due {
                        site,
                        after: Duration::ZERO,
                        slot: None,
                    });
                }
            }
            (Some(period), Some(window)) => {
                let end = (period.from + nanoseconds(window)).min(period.until);
                plan.extend(slots.within(period, end, now).map(|(after, slot)| Due {
                    site,
                    after,
                    slot: Slot::new(slot, slots.interval),
                }));
            }
        }
    }
    plan.sort_by_key(|due| due.after);
    plan
}

/// The first of the site's slots that is not before `from`.
pub(crate) fn next_slot(name: &str, interval: Duration, from: i128) -> i128 {
    Slots::new(name, interval).first_from(from)
}

/// The moments at which a site is checked.
struct Slots {
    offset: i128,
    interval: i128,
}

impl Slots {
    fn new(name: &str, interval: Duration) -> Self {
        let interval = nanoseconds(interval).max(1);
        // Whole milliseconds: a slot is a moment that can be written down and found again.
        let low = i128::from(stable_hash(name) & 0xffff_ffff);
        let offset = (interval * low) >> 32;
        Self {
            offset: offset - offset % 1_000_000,
            interval,
        }
    }

    /// The first slot that is not before `from`.
    fn first_from(&self, from: i128) -> i128 {
        let past = (from - self.offset).rem_euclid(self.interval);
        if past == 0 {
            from
        } else {
            from + self.interval - past
        }
    }

    /// When in the run the slots of the period are made, and which these are. Those that are over
    /// already are made at the start and those after `end`, when the run must be over, at its end; of
    /// several that fall together so, the first is made.
    fn within(
        &self,
        period: Period,
        end: i128,
        now: i128,
    ) -> impl Iterator<Item = (Duration, i128)> {
        let interval = self.interval;
        let mut slot = self.first_from(period.from);
        let mut last = None;
        std::iter::from_fn(move || {
            while slot < period.until {
                let (this, at) = (slot, slot.min(end).max(now));
                slot += interval;
                if last != Some(at) {
                    last = Some(at);
                    let after = u64::try_from(at - now).unwrap_or(u64::MAX);
                    return Some((Duration::from_nanos(after), this));
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const SECOND: i128 = 1_000_000_000;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// If this fails, a release would move sites to other shards in the middle of operation: do
    /// not change the numbers, change the code back.
    #[test]
    fn shards_never_change() {
        let of = |name| (0..4).find(|index| in_shard(name, *index, 4)).unwrap();
        let shards: Vec<u32> = ["example.org", "example.com", "shop", "größe", ""]
            .map(of)
            .into();
        assert_eq!(shards, [3, 2, 2, 0, 3]);
    }

    #[test]
    fn without_a_period_everything_is_due_once() {
        let plan = plan([("a", seconds(60)), ("b", seconds(3_600))], None, None, 0);
        assert_eq!(
            plan,
            [0, 1].map(|site| Due {
                site,
                after: Duration::ZERO,
                slot: None,
            })
        );
    }

    #[test]
    fn ten_thousand_sites_spread_over_their_interval() {
        let names: Vec<String> = (0..10_000).map(|number| format!("site-{number}")).collect();
        let sites = || names.iter().map(|name| (name.as_str(), seconds(60)));
        let period = Period {
            from: 600 * SECOND,
            until: 660 * SECOND,
        };
        let plan = plan(sites(), Some(period), Some(seconds(60)), 600 * SECOND);
        assert_eq!(plan.len(), 10_000);
        let mut per_second = [0_u32; 60];
        for due in &plan {
            per_second[usize::try_from(due.after.as_secs()).unwrap()] += 1;
        }
        let (least, most) = (
            per_second.iter().min().unwrap(),
            per_second.iter().max().unwrap(),
        );
        assert!(*least > 120 && *most < 220, "{per_second:?}");
    }

    #[test]
    fn a_window_checks_each_site_at_its_own_interval() {
        let period = Period {
            from: 600 * SECOND,
            until: 660 * SECOND,
        };
        let plan = plan(
            [("a", seconds(10))],
            Some(period),
            Some(seconds(55)),
            600 * SECOND,
        );
        assert_eq!(plan.len(), 6);
        let gaps: Vec<_> = plan
            .windows(2)
            .map(|pair| (pair[1].after - pair[0].after).as_secs_f64())
            .collect();
        assert!(
            gaps[..4].iter().all(|gap| (gap - 10.0).abs() < 0.001),
            "{gaps:?}"
        );
        assert!(plan.iter().all(|due| due.after <= seconds(55)));
    }

    proptest! {
        #[test]
        fn shards_divide_all_sites(name in ".{0,20}", count in 1_u32..50) {
            let shards = (0..count).filter(|index| in_shard(&name, *index, count)).count();
            prop_assert_eq!(shards, 1);
        }

        /// A scheduler that starts a run each period, each a few seconds early or late: every slot
        /// of every site is made exactly once.
        #[test]
        fn no_slot_is_missed_and_none_is_made_twice(
            length in prop::sample::select(vec![10_u64, 60, 300, 3_600]),
            phase in 0_u64..300,
            intervals in prop::collection::vec(1_u64..20_000, 1..20),
            jitter in prop::collection::vec(-0.4_f64..0.4, 40),
        ) {
            let phase = phase % length;
            let names: Vec<String> = (0..intervals.len()).map(|number| format!("site-{number}")).collect();
            let mut made: HashMap<usize, u64> = HashMap::new();
            let mut told: HashMap<usize, Vec<Slot>> = HashMap::new();
            let first = 1_000_000 * length + phase;
            for (run, jitter) in jitter.iter().enumerate() {
                let start = (first + run as u64 * length) as f64 + jitter * length as f64;
                let now = (start * 1e9) as i128;
                let period = Period::of_run(now, seconds(length), seconds(phase));
                let sites = names.iter().zip(&intervals).map(|(name, interval)| (name.as_str(), seconds(*interval)));
                for due in plan(sites, Some(period), None, now) {
                    *made.entry(due.site).or_default() += 1;
                    told.entry(due.site).or_default().extend(due.slot);
                }
            }
            let all = Period {
                from: i128::from(first) * SECOND,
                until: i128::from(first + jitter.len() as u64 * length) * SECOND,
            };
            for (site, interval) in intervals.iter().enumerate() {
                let slots = Slots::new(&names[site], seconds(*interval));
                let mut expected = 0;
                let mut slot = slots.first_from(all.from);
                while slot < all.until {
                    expected += 1;
                    slot += slots.interval;
                }
                // Sites that are due several times in a period are checked once in each.
                let expected = if *interval <= length { jitter.len() as u64 } else { expected };
                prop_assert_eq!(made.get(&site).copied().unwrap_or_default(), expected, "interval {}", interval);
                for pair in told.get(&site).map_or(&[][..], |slots| slots).windows(2) {
                    let apart = pair[1].at.duration_since(pair[0].at).as_millis();
                    prop_assert_eq!(apart, i128::from(pair[0].interval_ms), "interval {}", interval);
                }
            }
        }

        /// The same with a window: each slot is made once, within the window, as near to its time
        /// as the run allows.
        #[test]
        fn a_window_makes_every_slot_once(
            intervals in prop::collection::vec(6_u64..600, 1..10),
            jitter in prop::collection::vec(-3.0_f64..3.0, 30),
        ) {
            let (length, window) = (60_u64, seconds(55));
            let names: Vec<String> = (0..intervals.len()).map(|number| format!("site-{number}")).collect();
            let mut made: HashMap<usize, u64> = HashMap::new();
            let mut told: HashMap<usize, Vec<Slot>> = HashMap::new();
            let first = 60_000_u64;
            for (run, jitter) in jitter.iter().enumerate() {
                let now = (((first + run as u64 * length) as f64 + jitter) * 1e9) as i128;
                let period = Period::of_run(now, seconds(length), Duration::ZERO);
                let sites = names.iter().zip(&intervals).map(|(name, interval)| (name.as_str(), seconds(*interval)));
                for due in plan(sites, Some(period), Some(window), now) {
                    let at = now + nanoseconds(due.after);
                    prop_assert!(at <= period.from + nanoseconds(window) || due.after == Duration::ZERO);
                    *made.entry(due.site).or_default() += 1;
                    told.entry(due.site).or_default().extend(due.slot);
                }
            }
            for (site, interval) in intervals.iter().enumerate() {
                let slots = Slots::new(&names[site], seconds(*interval));
                let until = i128::from(first + jitter.len() as u64 * length) * SECOND;
                let mut expected = 0;
                let mut slot = slots.first_from(i128::from(first) * SECOND);
                while slot < until {
                    expected += 1;
                    slot += slots.interval;
                }
                prop_assert_eq!(made[&site], expected, "interval {}", interval);
                for pair in told[&site].windows(2) {
                    let apart = pair[1].at.duration_since(pair[0].at).as_millis();
                    prop_assert_eq!(apart, i128::from(pair[0].interval_ms), "interval {}", interval);
                }
            }
        }
    }
}
