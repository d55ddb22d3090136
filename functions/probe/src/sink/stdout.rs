//! Results on standard output, without any Kafka: the same events as on the topic as JSON lines, or
//! a line for whoever sits at the terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use parking_lot::Mutex;
use sitewatch::event::CheckEvent;
use sitewatch::run::Run;
use sitewatch::settings::LogFormat;
use sitewatch::site::Site;

use super::Delivered;
use super::line::Look;

/// Lines that wait to be written, in bytes, before whoever adds one writes them all.
const MOST_WAITING: usize = 16 << 10;

/// Standard output. Lines are written when a thread of the checks has nothing else to do, which is
/// before it waits for anything: who reads along sees results as they come, and thousands that come
/// at once are not a system call each.
pub(crate) struct Stdout {
    /// `None`: JSON.
    look: Option<Look>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whole lines that are not written yet.
    waiting: Vec<u8>,
    results_waiting: u64,
    delivered: Delivered,
}

impl State {
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match std::io::stdout().write_all(&self.waiting) {
            Ok(()) => self.delivered.published += self.results_waiting,
            Err(error) => {
                self.delivered
                    .trouble
                    .get_or_insert(format!("standard output cannot be written: {error}"));
            }
        }
        self.waiting.clear();
        self.results_waiting = 0;
    }
}

impl Stdout {
    pub(super) fn open(run: &Run, sites: &[Arc<Site>]) -> Self {
        let for_people = run.log_format == LogFormat::Text && std::io::stdout().is_terminal();
        Self {
            look: for_people.then(|| Look::new(run.colours, sites)),
            state: Mutex::default(),
        }
    }

    pub(super) fn publish(&self, event: &CheckEvent<'_>) {
        let line = match &self.look {
            None => event.to_json(),
            Some(look) => look.line(event).into_bytes(),
        };
        let mut state = self.state.lock();
        state.waiting.extend_from_slice(&line);
        state.waiting.push(b'\n');
        state.results_waiting += 1;
        if state.waiting.len() >= MOST_WAITING {
            state.write();
        }
    }

    pub(super) fn write(&self) {
        self.state.lock().write();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state.lock().delivered.trouble.is_some()
    }

    pub(super) fn is_watched(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn finish(&self) -> Delivered {
        let mut state = self.state.lock();
        state.write();
        state.delivered.clone()
    }
}
