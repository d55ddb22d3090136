//! Where an attempt's time goes: to the site, by phases, or to us.
//!
//! The site's time runs from what we send to what arrives, both as the kernel saw them; from what
//! has arrived to what we send next it is ours: waiting for a CPU, cryptography, searching.
//! So nothing of how late we look is in the phases.

use std::cell::{Cell, RefCell, RefMut};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use super::certificate::{CertificateSeen, FirstToExpire};

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

/// The clock that tells when bytes arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The kernel's, as each packet came in.
    Kernel,
    /// Ours, when we read them: at least once the kernel did not say.
    Monotonic,
}

impl Clock {
    /// Its name in the event.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Monotonic => "monotonic",
        }
    }
}

/// Everything that was noted.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) phases: Phases,
    /// The attempt's time that was not the site's.
    pub(crate) local_wait: Duration,
    pub(crate) clock: Clock,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) certificate: Option<CertificateSeen>,
    pub(crate) first_to_expire: Option<FirstToExpire>,
}

/// The times of one attempt. It never leaves its thread.
#[derive(Debug)]
pub(crate) struct Trace {
    began: Instant,
    state: RefCell<State>,
    /// Whether the time is up and connections are to be looked at once more, whatever is known of
    /// their readiness.
    last_look: Cell<bool>,
    /// The most that the site may take in all, as far as limits reach.
    most: Cell<Duration>,
}

#[derive(Debug)]
struct State {
    phases: Phases,
    phase: Phase,
    /// Up to here time is accounted for.
    boundary: Instant,
    /// What passed and is neither the site's nor ours.
    left_out: Duration,
    clocks: Clocks,
    clock: Clock,
    /// Addresses that the connection under way was asked of.
    asked: Vec<IpAddr>,
    remote: Option<IpAddr>,
    certificate: Option<CertificateSeen>,
    first_to_expire: Option<FirstToExpire>,
}

impl Trace {
    /// An attempt begins.
    pub(crate) fn start() -> Self {
        let clocks = Clocks::now();
        Self {
            began: clocks.monotonic,
            state: RefCell::new(State {
                phases: Phases::default(),
                phase: Phase::Dns,
                boundary: clocks.monotonic,
                left_out: Duration::ZERO,
                clocks,
                clock: Clock::Kernel,
                asked: Vec::new(),
                remote: None,
                certificate: None,
                first_to_expire: None,
            }),
            last_look: Cell::new(false),
            most: Cell::new(Duration::MAX),
        }
    }

    /// A phase begins: what passes until something is sent is ours.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.asked = Vec::new();
        state.boundary = Instant::now();
    }

    /// The first byte has arrived; what follows it follows without a gap.
    pub(crate) fn answered(&self) {
        let mut state = self.state();
        state.phase = Phase::Body;
        state.phases.body.get_or_insert_default();
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Something is about to be sent, or room is made for what the site sends: it could not go on
    /// before.
    pub(crate) fn sending(&self) {
        self.state().boundary = Instant::now();
    }

    /// Something arrived; `when` by the kernel's stamp.
    pub(crate) fn arrived(&self, when: Option<SystemTime>) {
        let now = Clocks::now();
        let mut state = self.state();
        let at = when.and_then(|when| state.clocks.place(when, now));
        if at.is_none() {
            state.clock = Clock::Monotonic;
        }
        state.clocks = now;
        state.charge(at.unwrap_or(now.monotonic));
    }

    /// Something happened that the kernel notes no time of: an end, a failure, room to send. It may
    /// have happened long before we look, so it is never what makes the site too slow.
    pub(crate) fn happened_now(&self) {
        let mut state = self.state();
        state.clock = Clock::Monotonic;
        let left = self.most.get().saturating_sub(state.phases.total());
        let passed = Instant::now().saturating_duration_since(state.boundary);
        let at = state.boundary + passed.min(left);
        state.charge(at);
    }

    /// The phase under way took this long since its last boundary, and ends.
    pub(crate) fn took(&self, time: Duration) {
        let mut state = self.state();
        let at = state.boundary + time;
        state.charge(at);
    }

    /// What is waited for came at this time.
    pub(crate) fn came(&self, at: Instant) {
        self.state().charge(at);
    }

    /// What passed since the last boundary is nobody's.
    pub(crate) fn leave_out(&self) {
        let mut state = self.state();
        let now = Instant::now();
        let passed = now.saturating_duration_since(state.boundary);
        state.left_out += passed;
        state.boundary = now;
    }

    /// A connection to this address begins.
    pub(crate) fn asks(&self, address: IpAddr) {
        let mut state = self.state();
        if state.asked.is_empty() {
            state.boundary = Instant::now();
        }
        state.asked.push(address);
        // Should none answer: the first.
        state.remote = state.asked.first().copied();
    }

    /// The addresses of which a connection is waited for.
    pub(crate) fn asked(&self) -> Vec<IpAddr> {
        self.state().asked.clone()
    }

    pub(crate) fn reached(&self, address: IpAddr) {
        self.state().remote = Some(address);
    }

    /// A server showed its certificate; `first` is the one that expires first of all it sent.
    pub(crate) fn showed(&self, certificate: CertificateSeen, first: Option<FirstToExpire>) {
        let mut state = self.state();
        state.certificate = Some(certificate);
        let before = state.first_to_expire.take();
        state.first_to_expire = before
            .into_iter()
            .chain(first)
            .min_by_key(|one| one.not_after);
    }

    /// The site's time so far.
    pub(crate) fn charged(&self) -> Duration {
        self.state().phases.total()
    }

    /// The same with what it is being waited for.
    pub(crate) fn charged_or_waited(&self) -> Duration {
        let state = self.state();
        state.phases.total() + Instant::now().saturating_duration_since(state.boundary)
    }

    /// The time is up: the site's is what it was allowed, `in_all`.
    pub(crate) fn up(&self, in_all: Duration) {
        let mut state = self.state();
        let left = in_all.saturating_sub(state.phases.total());
        let at = state.boundary + left;
        state.charge(at);
    }

    /// Lets the site take no more than `most` in all; returns what it was before.
    pub(crate) fn limit(&self, most: Duration) -> Duration {
        self.most.replace(most)
    }

    pub(crate) fn is_last_look(&self) -> bool {
        self.last_look.get()
    }

    pub(crate) fn set_last_look(&self, last: bool) {
        self.last_look.set(last);
    }

    /// The attempt is over.
    pub(crate) fn finish(self) -> Noted {
        let state = self.state.into_inner();
        let site = state.phases.total() + state.left_out;
        Noted {
            phases: state.phases,
            local_wait: self.began.elapsed().saturating_sub(site),
            clock: state.clock,
            remote: state.remote,
            certificate: state.certificate,
            first_to_expire: state.first_to_expire,
        }
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

impl State {
    /// The phase's time goes on to `at`.
    fn charge(&mut self, at: Instant) {
        let time = at.saturating_duration_since(self.boundary);
        *self.phases.slot(self.phase).get_or_insert_default() += time;
        self.boundary = self.boundary.max(at);
    }
}

/// One moment on two clocks: stamps are of the one that may be set, differences are taken on the
/// one that may not.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    monotonic: Instant,
    real: SystemTime,
}

/// More than both clocks drift apart between two arrivals, or than reading them one after the other
/// takes: then the real one was set.
const SET: Duration = Duration::from_millis(2);

impl Clocks {
    fn now() -> Self {
        // Losing the CPU between the two readings would look as if a clock was set.
        let mut tries = 0;
        loop {
            let before = Instant::now();
            let real = SystemTime::now();
            let monotonic = Instant::now();
            tries += 1;
            if monotonic.saturating_duration_since(before) < SET / 20 || tries == 5 {
                return Self { monotonic, real };
            }
        }
    }

    /// When a stamp of the real clock was, on the monotonic one; `None`: the real clock was set
    /// since these were taken, or the stamp is of the future.
    fn place(&self, stamp: SystemTime, now: Self) -> Option<Instant> {
        let ran = now.monotonic.saturating_duration_since(self.monotonic);
        let expected = self.real + ran;
        let off = match now.real.duration_since(expected) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        let age = match now.real.duration_since(stamp) {
            Ok(age) => age,
            Err(future) if future.duration() < SET => Duration::ZERO,
            Err(_) => return None,
        };
        // A clock that is being slewed runs a little faster or slower.
        if off > SET + ran / 1_000 {
            return None;
        }
        now.monotonic.checked_sub(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn later(clocks: Clocks, monotonic: Duration, real: Duration) -> Clocks {
        Clocks {
            monotonic: clocks.monotonic + monotonic,
            real: clocks.real + real,
        }
    }

    #[test]
    fn a_stamp_is_believed_however_late_it_is_read() {
        let sent = Clocks::now();
        let read = later(sent, 250 * MS, 250 * MS);
        let at = sent.place(sent.real + 3 * MS, read).unwrap();
        assert_eq!(at, sent.monotonic + 3 * MS);
    }

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let sent = Clocks::now();
        let hour = Duration::from_secs(3600);
        // Set forward, before and after the arrival.
        for stamp in [sent.real + 3 * MS, sent.real + hour + 3 * MS] {
            assert_eq!(
                sent.place(stamp, later(sent, 10 * MS, hour + 10 * MS)),
                None
            );
        }
        // Set back, before and after.
        let back = Clocks {
            monotonic: sent.monotonic + 10 * MS,
            real: sent.real - hour,
        };
        for stamp in [sent.real + 3 * MS, sent.real - hour - 7 * MS] {
            assert_eq!(sent.place(stamp, back), None);
        }
    }

    #[test]
    fn measurements_stay_within_what_passed_when_the_clock_is_set() {
        let trace = Trace::start();
        trace.enter(Phase::FirstByte);
        trace.sending();
        std::thread::sleep(2 * MS);
        for stamp in [
            SystemTime::UNIX_EPOCH,
            SystemTime::now() + Duration::from_secs(86_400),
        ] {
            trace.arrived(Some(stamp));
        }
        let elapsed = trace.began.elapsed();
        let noted = trace.finish();
        assert!(noted.phases.total() <= elapsed, "{noted:?}");
    }

    #[test]
    fn what_lies_between_an_arrival_and_the_next_sending_is_ours() {
        let trace = Trace::start();
        trace.enter(Phase::Tls);
        trace.sending();
        trace.arrived(Some(SystemTime::now()));
        std::thread::sleep(20 * MS);
        trace.sending();
        trace.arrived(Some(SystemTime::now()));
        let noted = trace.finish();
        assert!(noted.phases.tls.unwrap() < 20 * MS, "{noted:?}");
        assert!(noted.local_wait >= 20 * MS, "{noted:?}");
        assert_eq!(noted.clock, Clock::Kernel);
    }
}
