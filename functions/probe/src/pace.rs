//! How many checks may be under way: no more than the processor can serve without being late.
//!
//! A check that waits for its site costs nothing; a check that waits for a processor of ours
//! reports our delay as the site's. So there are two limits. `CHECK_CONCURRENCY` is the ceiling of
//! checks under way (threads, sockets, memory). Below it, [`Pace`] limits the *moving* ones: those
//! that have done anything within the last [`STILL`]. Checks that wait for slow sites stand still
//! and do not count, so a thousand hung sites do not hold up the others; and since what begins
//! moves, the limit is also a rate: that many in [`STILL`], evenly, so that answers do not all
//! come at once later.
//!
//! Within its bounds the limit follows the processor. Every border of a check's phases tells how
//! long its thread was ready and not run (the kernel's run-queue delay, see `check::clock`): while
//! that is short the limit rises, when it grows the limit falls, like a TCP window on delay.
//!
//! It costs one look at every worker's last move each millisecond, and only while checks wait to
//! be begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A check that has not moved for this long waits for its site. Longer than any wait for a
/// processor that would be tolerated, shorter than most sites take.
const STILL: Duration = Duration::from_millis(2);
/// How often the limit is thought over while checks wait to be begun.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Moving checks per processor at most. A check takes about 0.05 ms of a processor, so this many
/// in [`STILL`] leave more than half of it for the answers of those begun before; more would not be
/// faster, only queue with a server that is as quick as we are.
const MOST: usize = 12;
/// And at the beginning.
const FIRST: usize = 4;
/// Mean wait for a processor at a phase's border, up to which there is room for more. A switch
/// between two ready threads takes a few microseconds; this is a queue of a few.
const SHORT: Duration = Duration::from_micros(100);
/// From here on the limit falls. Beyond a millisecond our own queue shows in the figures of fast
/// sites.
const LONG: Duration = Duration::from_micros(750);
/// Least time between two reductions: what was begun before must show its effect first.
const COOL: Duration = Duration::from_millis(10);

/// What the workers tell.
#[derive(Debug, Default)]
pub(crate) struct Load {
    waited_ns: AtomicU64,
    borders: AtomicU64,
}

impl Load {
    fn note(&self, waited: Duration) {
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited_ns.fetch_add(waited, Ordering::Relaxed);
        self.borders.fetch_add(1, Ordering::Relaxed);
    }

    /// The mean wait at the borders since the last call; `None` when there were none.
    fn take(&self) -> Option<Duration> {
        let borders = self.borders.swap(0, Ordering::Relaxed);
        let waited = self.waited_ns.swap(0, Ordering::Relaxed);
        waited.checked_div(borders).map(Duration::from_nanos)
    }
}

/// One worker's place in the pace: when it last moved.
#[derive(Debug)]
pub(crate) struct Step {
    load: Arc<Load>,
    began: Instant,
    /// Microseconds since `began`; 0 while the worker has no check.
    moved_us: AtomicU64,
}

impl Step {
    pub(crate) fn new(load: Arc<Load>) -> Self {
        Self {
            load,
            began: Instant::now(),
            moved_us: AtomicU64::new(0),
        }
    }

    /// A border of a phase: the check moves, having waited for a processor this long.
    pub(crate) fn moved(&self, at: Instant, waited: Duration) {
        self.load.note(waited);
        self.touch(at);
    }

    /// A check begins.
    pub(crate) fn touch(&self, at: Instant) {
        let since = at.saturating_duration_since(self.began).as_micros();
        self.moved_us.store(
            u64::try_from(since).unwrap_or(u64::MAX).max(1),
            Ordering::Relaxed,
        );
    }

    /// The check is over.
    pub(crate) fn rest(&self) {
        self.moved_us.store(0, Ordering::Relaxed);
    }

    /// Whether a check is under way that has not moved lately.
    pub(crate) fn is_still(&self, now: Instant) -> bool {
        let moved = self.moved_us.load(Ordering::Relaxed);
        let moved_at = self.began + Duration::from_micros(moved);
        moved > 0 && now.saturating_duration_since(moved_at) > STILL
    }
}

/// The limit of moving checks.
#[derive(Debug)]
pub(crate) struct Pace {
    load: Arc<Load>,
    processors: usize,
    limit: usize,
    reduced: Instant,
}

impl Pace {
    pub(crate) fn new(load: Arc<Load>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            load,
            processors,
            limit: FIRST * processors,
            reduced: Instant::now(),
        }
    }

    /// How many checks may be moving.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Thinks the limit over, `moving` being the checks that move now.
    pub(crate) fn adjust(&mut self, moving: usize, now: Instant) {
        match self.load.take() {
            Some(waited)
                if waited > LONG && now.saturating_duration_since(self.reduced) >= COOL =>
            {
                self.reduced = now;
                self.limit = (self.limit * 3 / 4).max(self.processors);
            }
            Some(waited) if waited > SHORT => {}
            // Raised only when it is what holds checks back.
            _ if moving >= self.limit => {
                self.limit = (self.limit + 1).min(MOST * self.processors);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> (Arc<Load>, Pace) {
        let load = Arc::new(Load::default());
        let pace = Pace {
            load: Arc::clone(&load),
            processors: 2,
            limit: 4,
            reduced: Instant::now(),
        };
        (load, pace)
    }

    #[test]
    fn the_limit_rises_while_nobody_waits_and_falls_when_they_do() {
        let (load, mut pace) = pace();
        let now = Instant::now();
        load.note(Duration::from_micros(5));
        pace.adjust(4, now);
        assert_eq!(pace.limit(), 5);
        pace.adjust(3, now);
        assert_eq!(pace.limit(), 5, "nothing is held back");
        for _ in 0..50 {
            pace.adjust(24, now);
        }
        assert_eq!(pace.limit(), 2 * MOST);
        load.note(Duration::from_millis(5));
        pace.adjust(24, now + COOL);
        assert_eq!(pace.limit(), 18);
        load.note(Duration::from_millis(5));
        pace.adjust(24, now + COOL);
        assert_eq!(pace.limit(), 18, "too soon");
        for tick in 2..50 {
            load.note(Duration::from_millis(5));
            pace.adjust(24, now + COOL * tick);
        }
        assert_eq!(pace.limit(), 2);
    }

    #[test]
    fn who_waits_for_its_site_stands_still() {
        let step = Step::new(Arc::default());
        let now = Instant::now();
        assert!(!step.is_still(now + STILL * 2), "has no check");
        step.touch(now);
        assert!(!step.is_still(now + STILL / 2));
        assert!(step.is_still(now + STILL * 2));
        step.moved(now + STILL * 2, Duration::ZERO);
        assert!(!step.is_still(now + STILL * 2));
    }
}
