//! When a run should come to its end: a signal, or its deadline.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Why a run should come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// SIGTERM or SIGINT.
    Signal,
    /// The run's deadline has passed.
    Deadline,
}

/// The reason, to follow "stopped by".
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "a signal",
            Self::Deadline => "its deadline",
        })
    }
}

/// Tells a run when to end. Cheap to clone and to ask; every loop asks it.
#[derive(Clone, Debug)]
pub struct Stop {
    signalled: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Ends on SIGTERM and SIGINT. A second signal ends the process at once, with the code of
    /// unfinished work: nothing is lost by that either, it is what kill -9 does.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn on_signals() -> std::io::Result<Self> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The order matters: the first signal must find the flag still down.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(super::Exit::Unfinished.code()),
                Arc::clone(&signalled),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&signalled))?;
        }
        Ok(Self {
            signalled,
            deadline: None,
        })
    }

    /// Ends only when [`Stop::request`] is called: for tests.
    #[must_use]
    pub fn never() -> Self {
        Self {
            signalled: Arc::default(),
            deadline: None,
        }
    }

    /// The same, but no later than `deadline`.
    #[must_use]
    pub fn no_later_than(&self, deadline: Option<Instant>) -> Self {
        Self {
            signalled: Arc::clone(&self.signalled),
            deadline: match (self.deadline, deadline) {
                (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
                (ours, theirs) => ours.or(theirs),
            },
        }
    }

    /// Asks for the end, as a signal would.
    pub fn request(&self) {
        self.signalled.store(true, Ordering::Relaxed);
    }

    /// Whether the run should end now, and why.
    #[must_use]
    pub fn requested(&self) -> Option<Why> {
        if self.signalled.load(Ordering::Relaxed) {
            return Some(Why::Signal);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Some(Why::Deadline),
            _ => None,
        }
    }

    /// Time left until the deadline; `None` when there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
