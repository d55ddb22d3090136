//! How far a run is, for a person who watches: a line on a terminal, nothing anywhere else.

use indicatif::{ProgressBar, ProgressStyle};

/// A line that is gone when this is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins a line for this many steps; `what` names them.
    pub(crate) fn new(what: &'static str, steps: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX));
        if let Ok(style) =
            ProgressStyle::with_template("rolling up {msg}: {pos} of {len} {wide_bar} {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    /// One more is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
