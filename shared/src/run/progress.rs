//! How far a long run is, for a person who watches: a line at the foot of a terminal, nothing
//! anywhere else.

use std::fmt;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;

use super::Run;
use crate::settings::LogFormat;

/// A run that is over before this needs no line: it would only flicker.
const LONG: Duration = Duration::from_secs(1);

/// The line that is on the terminal now. There is one terminal, so there is one line.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How far a run is. What it shows is gone when it is dropped.
pub struct Progress(Option<Line>);

struct Line {
    bar: ProgressBar,
    since: Instant,
    shown: bool,
}

impl Progress {
    /// Begins; `what` names the steps, of which there will be `all`.
    #[must_use]
    pub fn new(run: &Run, what: &'static str, all: u64) -> Self {
        let watched = run.log_format == LogFormat::Text && std::io::stderr().is_terminal();
        Self((watched && all > 0).then(|| Line::new(what, all)))
    }

    /// One that is never shown.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Says how many steps are done. They are only counted when somebody watches.
    pub fn at(&mut self, done: impl FnOnce() -> u64) {
        if let Some(line) = &mut self.0 {
            line.at(done());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.0.is_some() {
            clear();
        }
    }
}

impl Line {
    fn new(what: &'static str, all: u64) -> Self {
        // Hidden at first, and yet counting: the time left is told from the speed since the start.
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::hidden());
        if let Ok(style) =
            ProgressStyle::with_template("{msg}: {human_pos} of {human_len} {wide_bar} {left}")
        {
            bar.set_style(style.with_key("left", left));
        }
        bar.set_message(what);
        Self {
            bar,
            since: Instant::now(),
            shown: false,
        }
    }

    fn at(&mut self, done: u64) {
        if !self.shown && self.since.elapsed() >= LONG {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            *SHOWN.lock() = Some(self.bar.clone());
        }
        self.bar.set_position(done);
    }
}

/// The time left, once there is something to tell it from.
fn left(state: &ProgressState, to: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // The worst is a line without it.
        write!(to, "{:#} left", HumanDuration(state.eta())).ok();
    }
}

/// Writes something else to standard error, with the line out of its way.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    let bar = SHOWN.lock().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes the line off the terminal, whoever has put it there.
pub(super) fn clear() {
    if let Some(bar) = SHOWN.lock().take() {
        bar.finish_and_clear();
    }
}
