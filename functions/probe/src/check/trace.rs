//! What happens inside a request, noted by the parts that do it.
//!
//! ureq calls our resolver, connector and transport and returns one error at the end. Each check
//! gives those parts the same [`Trace`], and they note times, addresses, certificates and the
//! first thing that went wrong in it, while they know more than the error will.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::certificate::CertificateSeen;
use super::clock::{Clock, Mark};
use super::failure::Failure;
use crate::pace::Step;

/// The parts of a check, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Dns,
    Connect,
    Tls,
    FirstByte,
    Body,
}

/// How long each phase took, summed over redirects; `None`: it did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    pub(crate) dns: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) tls: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) body: Option<Duration>,
}

impl Phases {
    fn slot(&mut self, phase: Phase) -> &mut Option<Duration> {
        match phase {
            Phase::Dns => &mut self.dns,
            Phase::Connect => &mut self.connect,
            Phase::Tls => &mut self.tls,
            Phase::FirstByte => &mut self.first_byte,
            Phase::Body => &mut self.body,
        }
    }

    /// The whole check: the phases leave no gaps.
    pub(crate) fn total(&self) -> Duration {
        [self.dns, self.connect, self.tls, self.first_byte, self.body]
            .into_iter()
            .flatten()
            .sum()
    }
}

/// What was noted so far.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    pub(crate) phases: Phases,
    /// Waited for a processor during the phases.
    pub(crate) local_wait: Duration,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) certificate: Option<CertificateSeen>,
    /// The first thing that went wrong.
    pub(crate) failure: Option<Failure>,
    /// The phase under way; `None`: between two, when no time has passed.
    pub(crate) now: Option<Phase>,
}

/// Shared by the parts of one attempt; all on one thread, the lock is never waited for.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: Arc<Clock>,
    step: Arc<Step>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    border: Mark,
    noted: Noted,
}

impl Trace {
    pub(crate) fn start(clock: Arc<Clock>, step: Arc<Step>) -> Self {
        let border = clock.mark();
        step.touch(border.at);
        Self {
            clock,
            step,
            state: Mutex::new(State {
                border,
                noted: Noted::default(),
            }),
        }
    }

    /// Says which phase is under way, so that a failure knows where it happened.
    pub(crate) fn enter(&self, phase: Phase) {
        self.lock().noted.now = Some(phase);
    }

    /// Ends a phase now: all time since the last border is its time.
    pub(crate) fn end(&self, phase: Phase) {
        let mut state = self.lock();
        let mark = self.clock.mark_after(state.border);
        let (own, waited) = mark.since(state.border);
        *state.noted.phases.slot(phase).get_or_insert_default() += own;
        state.noted.local_wait += waited;
        state.noted.now = None;
        state.border = mark;
        drop(state);
        self.step.moved(mark.at, waited);
    }

    /// Ends a phase that another thread timed. What passed since is neither the site's nor counted.
    pub(crate) fn end_as(&self, phase: Phase, took: Duration) {
        let mark = self.clock.mark();
        let mut state = self.lock();
        *state.noted.phases.slot(phase).get_or_insert_default() += took;
        state.noted.now = None;
        state.border = mark;
    }

    /// Leaves out the time since the last border.
    pub(crate) fn skip(&self) {
        let mark = self.clock.mark();
        let mut state = self.lock();
        state.noted.now = None;
        state.border = mark;
    }

    /// What this thread waited for a processor so far.
    pub(crate) fn waited(&self) -> Duration {
        let mark = self.clock.mark();
        let state = self.lock();
        state.noted.local_wait + mark.since(state.border).1
    }

    /// Notes what went wrong; the first note stands.
    pub(crate) fn fail(&self, failure: Failure) {
        self.lock().noted.failure.get_or_insert(failure);
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.lock().noted);
    }

    /// Looks at what was noted so far.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Noted) -> T) -> T {
        read(&self.lock().noted)
    }

    /// Everything noted; the trace starts anew.
    pub(crate) fn take(&self) -> Noted {
        std::mem::take(&mut self.lock().noted)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two assignments leaves no state that could not be read.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
