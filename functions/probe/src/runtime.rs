//! The threads that make the checks: one for each CPU, with a runtime of tokio's each. A check
//! stays on its thread from its first line to its last.
//!
//! Nothing here keeps checks from being late: their measurements come from the kernel, which is
//! not. What is limited is memory and sockets: `CHECK_CONCURRENCY` checks under way at once, and
//! the results that wait for Kafka.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewatch::event::{Outcome, Verdict};
use sitewatch::run::Failure;
use sitewatch::site::Site;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;

use crate::canaries::Canaries;
use crate::check::{Tools, check};
use crate::schedule::{Due, Slot};
use crate::sink::Sink;
use crate::summary::Counters;

/// Checks for which it is worth to start another thread.
const SHARE: usize = 16;
/// How often checks that wait for the sink's room look for it.
const SINK_POLL: Duration = Duration::from_millis(5);
/// Sockets looked after at once. What has become ready beyond that is seen a moment later.
const EVENTS: usize = 4_096;
/// How long a stopped thread goes on, so that what only waits for canaries is recorded.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How long the threads may take to end once they were told to. One that writes to a reader who
/// reads no more is left behind.
const JOIN_TIMEOUT: Duration = Duration::from_millis(500);

/// What the checks of a run need, on any thread.
pub(crate) struct Work {
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) due: Vec<Due>,
    pub(crate) tools: Tools,
    pub(crate) canaries: Arc<Canaries>,
    pub(crate) sink: Arc<Sink>,
    /// `PROBE_LOCATION`.
    pub(crate) location: String,
}

/// What came of the checks so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) counters: Counters,
    /// Why the first check could not be made that this machine kept from being made.
    pub(crate) obstacle: Option<String>,
    /// Checks that are over, whatever came of them.
    pub(crate) over: u64,
    /// Of these, those that panicked; each was told where it happened.
    pub(crate) panicked: u64,
}

/// The checks of a run, on their threads.
pub(crate) struct Checks {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    /// Hears of nothing; it is closed when the last thread ends.
    ended: Receiver<()>,
}

/// What the threads share.
struct Shared {
    work: Work,
    began: Instant,
    /// The position in `due` of the next check that nobody has taken.
    next: AtomicUsize,
    /// Checks that were begun.
    begun: AtomicUsize,
    found: Mutex<Found>,
}

impl Checks {
    /// Begins the checks that are due, each at its time, up to `concurrency` at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn begin(work: Work, concurrency: usize) -> Result<Self, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let worth = work.due.len().div_ceil(SHARE).max(1);
        let count = cores.min(concurrency).min(worth);
        let shared = Arc::new(Shared {
            work,
            began: Instant::now(),
            next: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            found: Mutex::default(),
        });
        let (alive, ended) = mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        for number in 0..count {
            let part = concurrency / count + usize::from(number < concurrency % count);
            let (shared, alive, stopped) = (Arc::clone(&shared), alive.clone(), stopped.clone());
            let started = std::thread::Builder::new()
                .name(format!("checks-{number}"))
                .spawn(move || serve(&shared, part, stopped, &alive));
            match started {
                Ok(_) => {}
                Err(error) if number == 0 => {
                    return Err(Failure::Unavailable(format!(
                        "no thread could be started for the checks: {error}"
                    )));
                }
                Err(error) => log::warn!("checks are made by fewer threads: {error}"),
            }
        }
        Ok(Self {
            shared,
            stop,
            ended,
        })
    }

    /// Waits up to `longest` for the end of all checks; whether it has come.
    pub(crate) fn wait(&self, longest: Duration) -> bool {
        self.ended.recv_timeout(longest) == Err(RecvTimeoutError::Disconnected)
    }

    /// Drops the checks that are under way, and those that were not begun.
    pub(crate) fn stop(&self) {
        self.shared.work.canaries.end();
        self.stop.send_replace(true);
        self.wait(JOIN_TIMEOUT);
    }

    /// What came of them so far.
    pub(crate) fn found(&self) -> Found {
        self.shared.found.lock().clone()
    }

    /// Checks that were not begun.
    pub(crate) fn left(&self) -> usize {
        let begun = self.shared.begun.load(Ordering::Relaxed);
        self.shared.work.due.len().saturating_sub(begun)
    }
}

/// One thread's checks, from the first to the last, or to the stop: then what is under way is
/// dropped.
fn serve(shared: &Arc<Shared>, part: usize, mut stopped: watch::Receiver<bool>, _: &Sender<()>) {
    let writer = Arc::clone(shared);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_io_events_per_tick(EVENTS)
        .on_thread_park(move || writer.work.sink.write())
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return log::error!("a thread can make no checks: {error}"),
    };
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            biased;
            // An error means that nobody can stop us any more.
            _ = stopped.wait_for(|stopped| *stopped) => tokio::time::sleep(LAST_WORDS).await,
            () = make(shared, part) => {}
        }
    });
}

/// Makes checks, up to `part` at once, until there are no more.
async fn make(shared: &Arc<Shared>, part: usize) {
    let work = &shared.work;
    let free = Arc::new(Semaphore::new(part));
    loop {
        let position = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(due) = work.due.get(position) else {
            break;
        };
        if due.after > shared.began.elapsed() {
            tokio::time::sleep_until((shared.began + due.after).into()).await;
        }
        while work.sink.is_full() {
            tokio::time::sleep(SINK_POLL).await;
        }
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
            break;
        };
        let Some(site) = work.sites.get(due.site).cloned() else {
            break;
        };
        shared.begun.fetch_add(1, Ordering::Relaxed);
        let record = Record(Arc::clone(shared));
        let slot = due.slot;
        tokio::task::spawn_local(async move {
            record.check(site, slot).await;
            drop(permit);
        });
    }
    // Each check gives its place back when it is over.
    let all = u32::try_from(part).unwrap_or(u32::MAX);
    drop(free.acquire_many(all).await);
}

/// Makes a check and records what came of it, also when it panics.
struct Record(Arc<Shared>);

impl Record {
    async fn check(&self, site: Arc<Site>, slot: Option<Slot>) {
        let Self(shared) = self;
        let work = &shared.work;
        let Some(checked) = check(site, &work.tools).await else {
            // The site wants no event of this.
            shared.found.lock().over += 1;
            return;
        };
        let event = checked.event(&work.location, slot);
        let event = work
            .canaries
            .settle(event, checked.is_explained_by_uplink())
            .await;
        work.sink.publish(&event);
        let mut found = shared.found.lock();
        found.over += 1;
        *match event.outcome.verdict() {
            Verdict::Up => &mut found.counters.up,
            Verdict::Down => &mut found.counters.down,
            Verdict::Unknown => &mut found.counters.unknown,
        } += 1;
        if event.outcome == Outcome::Local {
            found.counters.local += 1;
            found.obstacle = found.obstacle.take().or(event.error.map(Cow::into_owned));
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut found = self.0.found.lock();
            found.over += 1;
            found.panicked += 1;
        }
    }
}
