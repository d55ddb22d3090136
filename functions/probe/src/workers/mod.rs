//! The threads that make the checks.
//!
//! ureq blocks, so each check under way has a thread. Threads are started as they are needed, take
//! one check after another, and are limited by [`Pace`]; nobody hands checks out one by one, which
//! would cost two thread switches each.

mod shared;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sitewatch::site::Site;

use crate::canaries::Canaries;
use crate::check::Tools;
use crate::pace::{Load, Pace, Step, TICK};
use crate::sink::Sink;

pub(crate) use shared::Tally;
use shared::{Place, Shared, State};

/// The deepest a check goes is 45 KiB (ureq's parser of heads; a TLS handshake is less), in builds
/// without optimisation three times that. Only what is touched takes memory, but the C library
/// keeps the stacks of ended threads for new ones by what they could take: the smaller, the more.
const STACK: usize = if cfg!(debug_assertions) { 512 } else { 128 } * 1024;
/// How long the threads of interrupted checks may take to end; then the process ends without them.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The threads and what they share.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    pace: Pace,
    load: Arc<Load>,
    ceiling: usize,
}

impl Workers {
    pub(crate) fn new(
        tools: Arc<Tools>,
        canaries: Arc<Canaries>,
        sink: Arc<Sink>,
        ceiling: usize,
    ) -> Self {
        let load = Arc::new(Load::default());
        let pace = Pace::new(Arc::clone(&load));
        let state = State {
            limit: pace.limit().min(ceiling),
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared::new(tools, canaries, sink, state)),
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
        self.left() == 0
    }

    /// Checks that were added and are not over.
    pub(crate) fn left(&self) -> usize {
        let state = self.shared.lock();
        state.ready.len() + state.busy
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
        let mut woken = 0;
        loop {
            let mut state = self.shared.lock();
            // Those just woken are about to fill their part of it.
            let room = state
                .limit
                .saturating_sub(state.moving() + woken)
                .min(state.ready.len());
            let wakes = state.wake(room);
            woken += wakes;
            if room <= wakes || state.places.len() >= self.ceiling {
                return;
            }
            let place = Arc::new(Place {
                step: Arc::new(Step::new(Arc::clone(&self.load))),
                interrupt: Arc::default(),
            });
            state.places.push(Arc::clone(&place));
            let first = state.take();
            drop(state);
            let (shared, own, site) = (Arc::clone(&self.shared), Arc::clone(&place), first.clone());
            let thread = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || shared.work(&own, first));
            if let Err(error) = thread {
                self.do_with_fewer(&place, site, &error);
                return;
            }
        }
    }

    /// No thread to be had: fewer checks at once, then; the site goes back to the others.
    fn do_with_fewer(
        &mut self,
        place: &Arc<Place>,
        site: Option<Arc<Site>>,
        error: &std::io::Error,
    ) {
        let mut state = self.shared.lock();
        state.leave(place);
        state.busy -= usize::from(site.is_some());
        state.ready.extend(site);
        let left = state.places.len();
        drop(state);
        if left > 0 && self.ceiling > left {
            self.ceiling = left;
            log::warn!("no more than {left} checks at once: {error}");
        }
        // Not even one: whoever has the threads may give one back.
        std::thread::sleep(PATIENCE / 10);
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
        state.wake(usize::MAX);
        drop(state);
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

    /// What was found, and why the first check could not be made that this machine kept from being
    /// made; the threads end.
    pub(crate) fn finish(self) -> (Tally, Option<String>) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.wake(usize::MAX);
        let (tally, obstacle, busy) = (state.tally, state.obstacle.take(), state.busy);
        drop(state);
        // A thread that could not be interrupted (in a look-up, say) is left behind.
        if busy == 0 {
            let state = self.shared.lock();
            let ended = self
                .shared
                .over
                .wait_timeout_while(state, PATIENCE, |state| !state.places.is_empty());
            let broken = ended.unwrap_or_else(PoisonError::into_inner).0.broken;
            if broken > 0 {
                log::error!("{broken} checks broke off by a defect of ours");
            }
        }
        (tally, obstacle)
    }
}
