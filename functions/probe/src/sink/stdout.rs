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

/// Standard output. A line at a time: who reads along sees results as they come.
pub(crate) struct Stdout {
    /// `None`: JSON.
    look: Option<Look>,
    delivered: Mutex<Delivered>,
}

impl Stdout {
    pub(super) fn open(run: &Run, sites: &[Arc<Site>]) -> Self {
        let for_people = run.log_format == LogFormat::Text && std::io::stdout().is_terminal();
        Self {
            look: for_people.then(|| Look::new(run.colours, sites)),
            delivered: Mutex::default(),
        }
    }

    pub(super) fn publish(&self, event: &CheckEvent<'_>) {
        let mut line = match &self.look {
            None => event.to_json(),
            Some(look) => look.line(event).into_bytes(),
        };
        line.push(b'\n');
        let mut delivered = self.delivered.lock();
        match std::io::stdout().write_all(&line) {
            Ok(()) => delivered.published += 1,
            Err(error) => {
                delivered
                    .trouble
                    .get_or_insert(format!("standard output cannot be written: {error}"));
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.delivered.lock().trouble.is_some()
    }

    pub(super) fn is_watched(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn finish(&self) -> Delivered {
        self.delivered.lock().clone()
    }
}
