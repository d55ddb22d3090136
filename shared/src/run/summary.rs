//! How a run went: one line for people, the same counters as fields.

use std::time::Duration;

use super::Exit;

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
        let level = match self.exit {
            Exit::Done | Exit::Down => log::Level::Info,
            _ => log::Level::Warn,
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
                .args(format_args!("{} in {}", self.sentence, human(took)))
                .key_values(&fields)
                .build(),
        );
    }
}

/// A duration as people say it: `8 ms`, `1.24 s`, `3 min 20 s`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        // Rounded down: there are no 60.00 s.
        1_000..60_000 => format!(
            "{}.{:02} s",
            milliseconds / 1_000,
            milliseconds % 1_000 / 10
        ),
        _ => format!(
            "{} min {} s",
            milliseconds / 60_000,
            milliseconds / 1_000 % 60
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_in_the_unit_that_it_has_reached() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.00 s"),
            (1_239, "1.23 s"),
            (59_999, "59.99 s"),
            (60_000, "1 min 0 s"),
            (200_900, "3 min 20 s"),
        ] {
            assert_eq!(human(Duration::from_millis(milliseconds)), text);
        }
    }
}
