//! How a run went: one line for people, the same counters as fields.

use std::time::Duration;

use super::Exit;
use crate::units::human;

/// What was done, how much, and how the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// One sentence without its end, to which the time taken is added.
    pub sentence: String,
    /// The same as fields, for `LOG_FORMAT=json`.
    pub counters: Vec<(&'static str, u64)>,
    /// How the process ends.
    pub exit: Exit,
}

impl Summary {
    /// The work is done.
    #[must_use]
    pub fn done(sentence: String, counters: Vec<(&'static str, u64)>) -> Self {
        Self {
            sentence,
            counters,
            exit: Exit::Done,
        }
    }

    /// The same, ending with another code.
    #[must_use]
    pub fn exiting(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Writes the line: a warning when something is left for a next run, so that a quiet log
    /// (`LOG_LEVEL=warn`) tells of it.
    pub(super) fn log(&self, took: Duration) {
        let took_text = human(took);
        // What is left comes with a reason, to which "in 5 ms" would read as a part.
        let (level, line) = match self.exit {
            Exit::Done | Exit::Down => (
                log::Level::Info,
                format!("{} in {took_text}", self.sentence),
            ),
            _ => (
                log::Level::Warn,
                format!("{} (after {took_text})", self.sentence),
            ),
        };
        let mut fields = self.counters.clone();
        fields.push(("exit_code", u64::from(self.exit.code())));
        fields.push((
            "duration_ms",
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        ));
        log::logger().log(
            &log::Record::builder()
                .level(level)
                .target("sitewatch")
                .args(format_args!("{line}"))
                .key_values(&fields)
                .build(),
        );
    }
}
