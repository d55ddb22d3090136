//! What the threads and the round share: the checks that are due, and who does what.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use sitewatch::event::{Outcome, Verdict};
use sitewatch::site::Site;

use crate::canaries::Canaries;
use crate::check::clock::Clock;
use crate::check::interrupt::Interrupt;
use crate::check::{Tools, Worker, check};
use crate::pace::Step;
use crate::sink::Sink;

/// Threads above this number end with their check instead of taking another one. What a thread has
/// once used it keeps, its stack and what the allocator caches for it: 80 KiB after a whole check,
/// half of that while it waits for the first answer. Starting a thread costs a tenth of a check,
/// which with so many waiting for slow sites is there to be spent.
const KEPT: usize = 384;

/// What the checks found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) unknown: u64,
    /// Of these, those that could not be made for a reason of this machine's.
    pub(crate) local: u64,
    /// Wanted no event of what they got, or broke off with the run.
    pub(crate) without_event: u64,
}

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// A check is over.
    pub(super) over: Condvar,
    tools: Arc<Tools>,
    canaries: Arc<Canaries>,
    sink: Arc<Sink>,
}

#[derive(Default)]
pub(super) struct State {
    /// Due and not begun.
    pub(super) ready: VecDeque<Arc<Site>>,
    pub(super) closed: bool,
    /// Threads that wait, parked, for work. The last to have stopped is the first to go on: what it
    /// used lately (stack, allocator, connection's buffers) is still in the processor's cache.
    pub(super) idle: Vec<Thread>,
    /// Threads that a defect of ours ended.
    pub(super) broken: usize,
    /// Checks under way, and how many of them stood still when last looked at.
    pub(super) busy: usize,
    pub(super) still: usize,
    /// How many may be moving.
    pub(super) limit: usize,
    pub(super) places: Vec<Arc<Place>>,
    pub(super) tally: Tally,
    /// Why the first check could not be made that this machine kept from being made.
    pub(super) obstacle: Option<String>,
}

/// What came of a check.
enum Made {
    /// An event with this outcome, and why if it is `Local`.
    Event(Outcome, Option<String>),
    /// Nothing to tell.
    Nothing,
    /// A defect of ours; it was told where it happened.
    Broken,
}

impl State {
    pub(super) fn moving(&self) -> usize {
        self.busy.saturating_sub(self.still)
    }

    pub(super) fn may_begin(&self) -> bool {
        !self.ready.is_empty() && self.moving() < self.limit
    }
}

/// One thread, as the others see it.
pub(super) struct Place {
    pub(super) step: Arc<Step>,
    pub(super) interrupt: Arc<Interrupt>,
}

impl State {
    pub(super) fn leave(&mut self, place: &Arc<Place>) {
        self.places.retain(|other| !Arc::ptr_eq(other, place));
    }

    /// Wakes up to this many of the threads that wait; returns how many.
    pub(super) fn wake(&mut self, most: usize) -> usize {
        let awake = self.idle.len().saturating_sub(most);
        let woken = self.idle.drain(awake..);
        woken.map(|thread| thread.unpark()).count()
    }

    pub(super) fn take(&mut self) -> Option<Arc<Site>> {
        let site = self.ready.pop_front()?;
        self.busy += 1;
        Some(site)
    }
}

impl Shared {
    pub(super) fn new(
        tools: Arc<Tools>,
        canaries: Arc<Canaries>,
        sink: Arc<Sink>,
        state: State,
    ) -> Self {
        Self {
            state: Mutex::new(state),
            over: Condvar::new(),
            tools,
            canaries,
            sink,
        }
    }

    pub(super) fn work(&self, place: &Arc<Place>, first: Option<Arc<Site>>) {
        let worker = Worker {
            clock: Arc::new(Clock::of_this_thread()),
            interrupt: Arc::clone(&place.interrupt),
            step: Arc::clone(&place.step),
        };
        let mut next = first.or_else(|| self.next());
        while let Some(site) = next {
            // A defect in one check must not end the others, nor leave them waiting for it.
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let checked = check(&site, &self.tools, &worker)?;
                let event = self.canaries.settle(checked, &worker.interrupt);
                self.sink.publish(&event);
                let why = event.error.filter(|_| event.outcome == Outcome::Local);
                Some(Made::Event(event.outcome, why.map(Cow::into_owned)))
            }));
            worker.step.rest();
            next = self.after(match checked {
                Ok(Some(made)) => made,
                Ok(None) => Made::Nothing,
                Err(_) => Made::Broken,
            });
        }
        let mut state = self.lock();
        state.leave(place);
        if state.places.is_empty() {
            self.over.notify_all();
        }
    }

    /// Counts a check and takes the next one.
    fn after(&self, made: Made) -> Option<Arc<Site>> {
        let mut state = self.lock();
        state.busy -= 1;
        state.broken += usize::from(matches!(made, Made::Broken));
        let tally = &mut state.tally;
        match made {
            Made::Event(outcome, why) => {
                *match outcome.verdict() {
                    Verdict::Up => &mut tally.up,
                    Verdict::Down => &mut tally.down,
                    Verdict::Unknown => &mut tally.unknown,
                } += 1;
                tally.local += u64::from(outcome == Outcome::Local);
                state.obstacle = state.obstacle.take().or(why);
            }
            Made::Nothing | Made::Broken => tally.without_event += 1,
        }
        if state.busy == 0 && state.ready.is_empty() {
            self.over.notify_all();
        }
        if state.places.len() > KEPT {
            return None;
        }
        if state.may_begin() {
            return state.take();
        }
        drop(state);
        self.next()
    }

    fn next(&self) -> Option<Arc<Site>> {
        let own = std::thread::current();
        let mut state = self.lock();
        loop {
            if state.may_begin() {
                return state.take();
            }
            if state.closed {
                return None;
            }
            state.idle.push(own.clone());
            drop(state);
            std::thread::park();
            state = self.lock();
            // Still there when nobody woke it: `park` may return by itself.
            state.idle.retain(|thread| thread.id() != own.id());
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
