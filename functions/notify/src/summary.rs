//! What a run of `notify` did, in counters.

use sitewatch::run::{Exit, Summary, Why};
use sitewatch::units::counted;

use crate::outbox::{Attempt, Fate};

/// Counters of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Rows written down: an incident, an event and a channel each.
    pub(crate) decided: u64,
    /// Messages that were taken.
    pub(crate) sent: u64,
    /// Messages left to a later run.
    pub(crate) left: u64,
    /// Messages given up.
    pub(crate) given_up: u64,
}

impl Counters {
    /// Adds what became of messages.
    pub(crate) fn add(&mut self, attempts: &[Attempt]) {
        for attempt in attempts {
            match attempt.fate {
                Fate::Sent => self.sent += 1,
                Fate::Refused { .. } | Fate::PutOff { .. } | Fate::NotTried => self.left += 1,
            }
        }
    }

    /// The run's summary; `ended` when it was asked to end before it was done.
    pub(crate) fn summary(&self, ended: Option<Why>) -> Summary {
        let mut parts = Vec::new();
        for (number, one, many) in [
            (self.sent, "message sent", "messages sent"),
            (
                self.left.saturating_sub(self.given_up),
                "message left for a later run",
                "messages left for later runs",
            ),
            (self.given_up, "message given up", "messages given up"),
        ] {
            if number > 0 {
                parts.push(counted(number, one, many));
            }
        }
        if let Some(why) = ended {
            parts.push(format!("ended by {why}"));
        }
        if parts.is_empty() {
            parts.push("nothing to tell".to_owned());
        }
        let summary = Summary::done(
            parts.join(", "),
            vec![
                ("decided", self.decided),
                ("sent", self.sent),
                ("left", self.left.saturating_sub(self.given_up)),
                ("given_up", self.given_up),
            ],
        );
        if self.left > 0 || self.given_up > 0 || ended.is_some() {
            summary.exiting(Exit::Unfinished)
        } else {
            summary
        }
    }
}
