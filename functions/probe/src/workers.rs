//! The threads that make the checks.
//!
//! ureq blocks, so each check under way has a thread. Threads are started as they are needed, take
//! one check after another, and are limited by [`Pace`]; nobody hands checks out one by one, which
//! would cost two thread switches each.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sitewatch::event::Verdict;
use sitewatch::site::Site;

use crate::check::clock::Clock;
use crate::check::interrupt::Interrupt;
use crate::check::{Tools, Worker, check};
use crate::pace::{Load, Pace, Step, TICK};
use crate::sink::Sink;

/// The deepest a check goes is a TLS handshake (about 20 KiB) with our pieces of a page above it
/// (16 KiB), in builds without optimisation twice that. Only what is touched takes memory.
const STACK: usize = 256 * 1024;
/// How long the threads of interrupted checks may take to end; then the process ends without them.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What the checks found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) unknown: u64,
    /// Wanted no event of what they got, or broke off with the run.
    pub(crate) without_event: u64,
}

/// The threads and what they share.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    pace: Pace,
    load: Arc<Load>,
    ceiling: usize,
}

struct Shared {
    state: Mutex<State>,
    /// Something to do, or nothing ever again.
    work: Condvar,
    /// A check is over.
    over: Condvar,
    tools: Arc<Tools>,
    sink: Arc<Sink>,
}

#[derive(Default)]
struct State {
    /// Due and not begun.
    ready: VecDeque<Arc<Site>>,
    closed: bool,
    /// Threads that wait for work.
    idle: usize,
    /// Checks under way, and how many of them stood still when last looked at.
    busy: usize,
    still: usize,
    /// How many may be moving.
    limit: usize,
    places: Vec<Arc<Place>>,
    tally: Tally,
}

impl State {
    fn moving(&self) -> usize {
        self.busy.saturating_sub(self.still)
    }

    fn may_begin(&self) -> bool {
        !self.ready.is_empty() && self.moving() < self.limit
    }
}

/// One thread, as the others see it.
struct Place {
    step: Arc<Step>,
    interrupt: Arc<Interrupt>,
}

impl Workers {
    pub(crate) fn new(tools: Arc<Tools>, sink: Arc<Sink>, ceiling: usize) -> Self {
        let load = Arc::new(Load::default());
        let pace = Pace::new(Arc::clone(&load));
        let state = State {
            limit: pace.limit().min(ceiling),
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                work: Condvar::new(),
                over: Condvar::new(),
                tools,
                sink,
            }),
            threads: Vec::new(),
            pace,
            load,
            ceiling,
        }
    }

    /// Adds checks to be made as soon as the pace allows.
    pub(crate) fn add(&mut self, sites: impl IntoIterator<Item = Arc<Site>>) {
        self.shared.lock().ready.extend(sites);
        self.start_some();
    }

    /// Lets some time pass, up to `longest`, while the checks go on; returns at once when all are
    /// over. Must be called again and again: it is what keeps the pace.
    pub(crate) fn go_on(&mut self, longest: Duration) {
        let state = self.shared.lock();
        if state.ready.is_empty() && state.busy == 0 {
            return;
        }
        // Without checks that wait to be begun there is nothing to pace.
        let slice = if state.ready.is_empty() {
            longest
        } else {
            longest.min(TICK)
        };
        let state = if state.ready.is_empty() {
            self.shared
                .over
                .wait_timeout_while(state, slice, |state| state.busy > 0)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        } else {
            drop(state);
            std::thread::sleep(slice);
            self.shared.lock()
        };
        let waits = !state.ready.is_empty();
        drop(state);
        if waits {
            self.keep_pace();
            self.start_some();
        }
    }

    /// Whether every check that was added is over.
    pub(crate) fn is_done(&self) -> bool {
        let state = self.shared.lock();
        state.ready.is_empty() && state.busy == 0
    }

    fn keep_pace(&mut self) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.still = state
            .places
            .iter()
            .filter(|place| place.step.is_still(now))
            .count();
        self.pace.adjust(state.moving(), now);
        state.limit = self.pace.limit();
    }

    /// Wakes or starts threads for the checks that may begin.
    fn start_some(&mut self) {
        loop {
            let mut state = self.shared.lock();
            let room = state
                .limit
                .saturating_sub(state.moving())
                .min(state.ready.len());
            let woken = room.min(state.idle);
            for _ in 0..woken {
                self.shared.work.notify_one();
            }
            if room <= woken || self.threads.len() >= self.ceiling {
                return;
            }
            let place = Arc::new(Place {
                step: Arc::new(Step::new(Arc::clone(&self.load))),
                interrupt: Arc::default(),
            });
            state.places.push(Arc::clone(&place));
            let first = state.take();
            drop(state);
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || shared.work(&place, first));
            match thread {
                Ok(thread) => self.threads.push(thread),
                Err(error) => {
                    // Fewer at once, then; the checks themselves can still be made.
                    log::warn!(
                        "no more than {} checks at once: {error}",
                        self.threads.len()
                    );
                    self.ceiling = self.threads.len();
                    let mut state = self.shared.lock();
                    state.places.pop();
                    state.busy = state.busy.saturating_sub(1);
                    return;
                }
            }
        }
    }

    /// Gives up what has not begun and cuts what has. Returns how many checks were not begun.
    pub(crate) fn interrupt(&mut self) -> usize {
        let mut state = self.shared.lock();
        let left = state.ready.len();
        state.ready.clear();
        state.closed = true;
        for place in &state.places {
            place.interrupt.interrupt();
        }
        drop(state);
        self.shared.work.notify_all();
        let until = Instant::now() + PATIENCE;
        let state = self.shared.lock();
        let waited = self.shared.over.wait_timeout_while(
            state,
            until.saturating_duration_since(Instant::now()),
            |state| state.busy > 0,
        );
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        left
    }

    /// What was found; the threads end.
    pub(crate) fn finish(self) -> Tally {
        let mut state = self.shared.lock();
        state.closed = true;
        let (tally, busy) = (state.tally, state.busy);
        drop(state);
        self.shared.work.notify_all();
        // A thread that could not be interrupted (in a look-up, say) is left behind.
        if busy == 0 {
            for thread in self.threads {
                if thread.join().is_err() {
                    log::error!("a check broke off by a defect of ours");
                }
            }
        }
        tally
    }
}

impl State {
    fn take(&mut self) -> Option<Arc<Site>> {
        let site = self.ready.pop_front()?;
        self.busy += 1;
        Some(site)
    }
}

impl Shared {
    fn work(&self, place: &Place, first: Option<Arc<Site>>) {
        let worker = Worker {
            clock: Arc::new(Clock::of_this_thread()),
            interrupt: Arc::clone(&place.interrupt),
            step: Arc::clone(&place.step),
        };
        let mut next = first.or_else(|| self.next());
        while let Some(site) = next {
            // A defect in one check must not end the others, nor leave them waiting for it.
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let event = check(&site, &self.tools, &worker);
                if let Some(event) = &event {
                    self.sink.publish(event);
                }
                event.map(|event| event.outcome.verdict())
            }));
            worker.step.rest();
            next = self.after(checked.unwrap_or_default());
        }
    }

    /// Counts a check and takes the next one.
    fn after(&self, verdict: Option<Verdict>) -> Option<Arc<Site>> {
        let mut state = self.lock();
        state.busy -= 1;
        let tally = &mut state.tally;
        *match verdict {
            Some(Verdict::Up) => &mut tally.up,
            Some(Verdict::Down) => &mut tally.down,
            Some(Verdict::Unknown) => &mut tally.unknown,
            None => &mut tally.without_event,
        } += 1;
        if state.busy == 0 && state.ready.is_empty() {
            self.over.notify_all();
        }
        if state.may_begin() {
            return state.take();
        }
        drop(state);
        self.next()
    }

    fn next(&self) -> Option<Arc<Site>> {
        let mut state = self.lock();
        loop {
            if state.may_begin() {
                return state.take();
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
