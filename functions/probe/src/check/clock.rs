//! Time as the website took it: the monotonic clock, less what this thread waited for a processor.
//!
//! The kernel counts, per thread, how long it was ready to run and not running; the second number
//! of `/proc/thread-self/schedstat`. Read at the borders of a check's phases it tells the site's
//! time from ours. A read costs about one microsecond, and is left out where there is no time to have
//! waited in. Where the file is not there (no Linux, or a kernel without `CONFIG_SCHED_INFO`) the
//! wait is unknown, and times are those of the wall.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// As long as the difference does not matter: a phase within the reach of a local network or of a
/// response that came in one piece. Twenty times what a look costs.
const BRIEF: Duration = Duration::from_micros(20);

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Instant,
    /// Waited for a processor since the thread began.
    pub(crate) waited: Duration,
}

/// The clocks of one thread. Marks may only be taken by the thread that made it.
#[derive(Debug)]
pub(crate) struct Clock {
    schedstat: Option<File>,
}

impl Clock {
    /// The clocks of the calling thread. One file descriptor.
    pub(crate) fn of_this_thread() -> Self {
        Self {
            schedstat: File::open("/proc/thread-self/schedstat").ok(),
        }
    }

    /// Whether waiting for a processor can be told.
    pub(crate) fn knows_waiting(&self) -> bool {
        self.schedstat.is_some()
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            waited: self.waited().unwrap_or_default(),
            at: Instant::now(),
        }
    }

    /// The end of a phase that began at `border`. Of one shorter than [`BRIEF`] the waiting is not
    /// looked at: it cannot be longer than the phase. The next mark finds it.
    pub(crate) fn mark_after(&self, border: Mark) -> Mark {
        let at = Instant::now();
        if at.saturating_duration_since(border.at) < BRIEF {
            return Mark { at, ..border };
        }
        self.mark()
    }

    fn waited(&self) -> Option<Duration> {
        // Three decimal numbers of at most 20 digits.
        let mut text = [0; 64];
        let length = self.schedstat.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut numbers = text.get(..length)?.split(|byte| *byte == b' ');
        numbers.next()?;
        let waited = numbers.next()?.iter().try_fold(0_u64, |sum, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        })?;
        Some(Duration::from_nanos(waited))
    }
}

impl Mark {
    /// From an earlier mark to this one: the time without waiting, and the waiting.
    pub(crate) fn since(self, earlier: Self) -> (Duration, Duration) {
        let waited = self.waited.saturating_sub(earlier.waited);
        let elapsed = self.at.saturating_duration_since(earlier.at);
        (elapsed.saturating_sub(waited), waited.min(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_forwards() {
        let clock = Clock::of_this_thread();
        let earlier = clock.mark();
        std::thread::sleep(Duration::from_millis(5));
        let (own, waited) = clock.mark().since(earlier);
        assert!(own + waited >= Duration::from_millis(5));
        assert!(
            own >= Duration::from_millis(4),
            "{own:?} with {waited:?} waited"
        );
    }

    #[test]
    fn waiting_in_a_brief_phase_is_found_after_it() {
        // No thread has waited for so long: whoever looks finds another figure.
        const NOT_LOOKED_AT: Duration = Duration::MAX;
        let clock = Clock::of_this_thread();
        let now = Instant::now();
        let at = |at| {
            clock.mark_after(Mark {
                at,
                waited: NOT_LOOKED_AT,
            })
        };
        let later = now + Duration::from_secs(60);
        assert_eq!(at(later).waited, NOT_LOOKED_AT, "no time has passed");
        std::thread::sleep(BRIEF);
        assert!(at(now).waited < NOT_LOOKED_AT);
    }

    #[test]
    fn waiting_is_taken_off() {
        let at = Instant::now();
        let earlier = Mark {
            at,
            waited: Duration::from_millis(1),
        };
        let later = Mark {
            at: at + Duration::from_millis(10),
            waited: Duration::from_millis(4),
        };
        assert_eq!(
            later.since(earlier),
            (Duration::from_millis(7), Duration::from_millis(3))
        );
    }
}
