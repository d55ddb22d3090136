//! How a run ended: the line for people, the counters, the exit code.

use sitewatch::run::{Exit, Summary, Why};
use sitewatch::units::counted;

use crate::sink::Delivered;

/// What the checks found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) unknown: u64,
    /// Of these, those that could not be made for a reason of this machine's.
    pub(crate) local: u64,
}

/// What a run has to tell at its end.
pub(crate) struct Ended {
    pub(crate) counters: Counters,
    /// Why the first check could not be made that this machine kept from being made.
    pub(crate) obstacle: Option<String>,
    pub(crate) delivered: Delivered,
    /// Checks that were due and not begun.
    pub(crate) left: usize,
    /// Checks that panicked, of which there is no result; each was told.
    pub(crate) panicked: u64,
    /// Sites that cannot be checked as they are; each was told.
    pub(crate) refused: usize,
    pub(crate) stopped: Option<Why>,
    pub(crate) fail_on_down: bool,
}

/// The summary of a run.
pub(crate) fn summary(ended: Ended) -> Summary {
    let Ended {
        counters,
        obstacle,
        delivered,
        left,
        panicked,
        refused,
        stopped,
        fail_on_down,
    } = ended;
    let checks = counters.up + counters.down + counters.unknown;
    let mut parts = vec![format!(
        "{}: {} up, {} down",
        counted(checks, "check", "checks"),
        counters.up,
        counters.down
    )];
    if counters.unknown > 0 {
        parts.push(format!("{} unknown", counters.unknown));
    }
    // Nothing is known of any site: whoever is told that the run is done would believe it is.
    let is_blind = counters.local > 0 && counters.local == checks;
    if let Some(obstacle) = obstacle {
        let how_many = if is_blind { "all" } else { "some" };
        parts.push(format!(
            "{how_many} for a reason of this machine's ({obstacle})"
        ));
    }
    if delivered.from_spool > 0 {
        parts.push(format!("{} sent from the spool", delivered.from_spool));
    }
    if delivered.spooled > 0 {
        parts.push(format!("{} spooled", delivered.spooled));
    }
    if delivered.printed > 0 {
        parts.push(format!("{} printed to standard error", delivered.printed));
    }
    if left > 0 {
        parts.push(format!("{left} not begun"));
    }
    if panicked > 0 {
        parts.push(format!("{panicked} panicked"));
    }
    if refused > 0 {
        let sites = counted(refused as u64, "site", "sites");
        parts.push(format!("{sites} of the table not checked"));
    }
    if let Some(why) = stopped {
        parts.push(format!("stopped by {why}"));
    }
    let exit = if panicked > 0 {
        Exit::InternalError
    } else if delivered.printed > 0 || (delivered.spooled == 0 && delivered.trouble.is_some()) {
        Exit::Unavailable
    } else if delivered.spooled > 0 || left > 0 || stopped.is_some() {
        Exit::Unfinished
    } else if refused > 0 {
        Exit::Configuration
    } else if is_blind {
        Exit::Unavailable
    } else if fail_on_down && counters.down > 0 {
        Exit::Down
    } else {
        Exit::Done
    };
    if let Some(trouble) = delivered.trouble {
        parts.push(trouble);
    }
    let fields = vec![
        ("checks", checks),
        ("up", counters.up),
        ("down", counters.down),
        ("unknown", counters.unknown),
        ("published", delivered.published),
        ("from_spool", delivered.from_spool),
        ("spooled", delivered.spooled),
        ("printed", delivered.printed),
        ("not_begun", left as u64),
        ("refused", refused as u64),
    ];
    Summary::done(parts.join(", "), fields).exiting(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_panicked_is_not_a_run_that_is_done() {
        let ended = |panicked| Ended {
            counters: Counters {
                up: 2,
                ..Counters::default()
            },
            obstacle: None,
            delivered: Delivered::default(),
            left: 0,
            panicked,
            refused: 0,
            stopped: None,
            fail_on_down: false,
        };
        assert_eq!(summary(ended(0)).exit, Exit::Done);
        let told = summary(ended(1));
        assert_eq!(told.exit, Exit::InternalError);
        assert!(told.sentence.contains("1 panicked"), "{}", told.sentence);
    }
}
