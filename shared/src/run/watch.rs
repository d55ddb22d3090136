//! The end of a run, enforced from outside the work: a thread that waits for a device, a file on a
//! server that is away, or a database cannot look at the time.
//!
//! What is left behind then is what SIGKILL leaves, and as harmless: what was in hand is not
//! committed, results are in the spool.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::SecretString;

use super::heartbeat::Heartbeat;
use super::{Exit, Function, Stop, progress};
use crate::settings::{Variable, parse};

/// How long work may go on after a signal. Work that can end by itself does so within a second or
/// two; a scheduler sends SIGKILL after a few more.
const SIGNAL_GRACE: Duration = Duration::from_millis(2_500);

/// How long work may go on after its deadline: a batch in hand is finished, and Kafka is given two
/// or three seconds for the last results. A deadline of 50 s leaves the minute's end free.
const DEADLINE_GRACE: Duration = Duration::from_secs(8);

/// How often the time is looked at beside the work.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long telling may take once the grace is over: the terminal or the pipe may be what is
/// stuck, and the heartbeat's server is somebody else's.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// When a run must be over, and whom to tell.
pub(super) struct Watch {
    pub(super) function: &'static Function,
    pub(super) started: Instant,
    limits: Mutex<Limits>,
    heartbeat: Mutex<Option<Heartbeat>>,
}

#[derive(Default)]
struct Limits {
    stop: Option<Stop>,
    deadline: Option<Instant>,
    /// When a signal was seen.
    signalled: Option<Instant>,
}

impl Watch {
    /// Begins with the deadline that the process's own environment says; what a file says is known
    /// only when that could be read.
    #[expect(
        clippy::disallowed_methods,
        reason = "reading the settings is what it must not wait for"
    )]
    pub(super) fn new(function: &'static Function, started: Instant) -> Arc<Self> {
        let watch = Arc::new(Self {
            function,
            started,
            limits: Mutex::default(),
            heartbeat: Mutex::default(),
        });
        watch.set_deadline(|variable| std::env::var(variable.name).ok());
        watch
    }

    /// Takes the deadline from what `text` has for the function's variable, or else its default. A
    /// text that does not parse is a problem of the settings, which tell it.
    pub(super) fn set_deadline(&self, text: impl FnOnce(&Variable) -> Option<String>) {
        let Some(variable) = self.function.deadline else {
            return;
        };
        let text = text(variable).filter(|text| !text.is_empty());
        let text = text.as_deref().unwrap_or(variable.default);
        self.limits.lock().deadline = parse::duration(text)
            .ok()
            .and_then(|duration| self.started.checked_add(duration));
    }

    /// Heeds signals from now on.
    pub(super) fn obey(&self, stop: Stop) {
        self.limits.lock().stop = Some(stop);
    }

    /// Tells the heartbeat's server that the run has begun.
    pub(super) fn announce(&self, url: Option<SecretString>) {
        *self.heartbeat.lock() = Some(Heartbeat::start(url));
    }

    /// Tells it how the run ended; only the first call does.
    pub(super) fn report(&self, exit: Exit) {
        let heartbeat = self.heartbeat.lock().take();
        if let Some(heartbeat) = heartbeat {
            heartbeat.end(exit);
        }
    }

    /// Does the run on a thread of its own, and returns its exit code, or that of unfinished work
    /// once its grace is over.
    pub(super) fn until_done(self: Arc<Self>, run: impl FnOnce() -> Exit + Send + 'static) -> Exit {
        let (done, outcome) = mpsc::channel();
        let worker = std::thread::Builder::new()
            .name("work".to_owned())
            .spawn(move || {
                // Nobody listens any more once the grace is over.
                done.send(run()).ok();
            });
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => {
                self.say(&format!("no thread could be started: {error}"));
                return Exit::Unfinished;
            }
        };
        let exit = loop {
            match outcome.recv_timeout(POLL_INTERVAL) {
                Ok(exit) => break exit,
                Err(RecvTimeoutError::Disconnected) => {
                    self.say("the run panicked; this is an internal error, please report it");
                    break Exit::InternalError;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let overdue = self.limits.lock().overdue(self.function);
            if let Some(why) = overdue {
                Arc::clone(&self).give_up(why);
                // As below, but the thread may be anywhere: so nothing is freed.
                signal_hook::low_level::exit(Exit::Unfinished.code().into());
            }
        };
        // What OpenSSL keeps for a thread is freed when that ends, and everything when the process
        // does: at the same moment, some of it twice.
        worker.join().ok();
        exit
    }

    /// Says why, without waiting for whoever does not listen.
    fn give_up(self: Arc<Self>, why: String) {
        let (said, heard) = mpsc::channel();
        let spoken = std::thread::Builder::new()
            .name("last words".to_owned())
            .spawn(move || {
                progress::clear();
                let code = Exit::Unfinished.code();
                self.say(&format!(
                    "{why}; what was in hand is not done, the next run takes it up (exit code {code})"
                ));
                self.report(Exit::Unfinished);
                said.send(()).ok();
            });
        if spoken.is_ok() {
            heard.recv_timeout(LAST_WORDS).ok();
        }
    }

    /// Logs an error, or prints it while there is no log yet.
    fn say(&self, text: &str) {
        if log::max_level() == log::LevelFilter::Off {
            let name = self.function.name;
            // The exit code is what is left to say it.
            writeln!(std::io::stderr(), "{name}: {text}").ok();
        } else {
            log::error!("{text}");
        }
    }
}

impl Limits {
    /// Why the run must not go on.
    fn overdue(&mut self, function: &Function) -> Option<String> {
        let now = Instant::now();
        let requested = self
            .stop
            .as_ref()
            .is_some_and(|stop| stop.requested().is_some());
        if requested && now > *self.signalled.get_or_insert(now) + SIGNAL_GRACE {
            return Some(
                "stopped by a signal while at work, or waiting for a server or a file".to_owned(),
            );
        }
        let passed = now.checked_duration_since(self.deadline?)?;
        (passed > DEADLINE_GRACE).then(|| {
            let name = function.deadline.map_or("", |variable| variable.name);
            let grace = DEADLINE_GRACE.as_secs();
            format!(
                "still at work, or waiting for a server or a file, {grace} s after its deadline ({name}), and ended by force"
            )
        })
    }
}
