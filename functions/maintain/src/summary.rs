//! The counters of a run of `maintain`: what it did.

use sitewatch::run::{Exit, Summary, Why};
use sitewatch::units::counted;

/// Counters of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Partitions made ahead.
    pub(crate) partitions_made: u64,
    /// Hours rolled up.
    pub(crate) hours: u64,
    /// Days rolled up.
    pub(crate) days: u64,
    /// Days of checks dropped.
    pub(crate) days_dropped: u64,
    /// Partitions of rollups dropped.
    pub(crate) partitions_dropped: u64,
    /// Sites and locations forgotten.
    pub(crate) names_forgotten: u64,
    /// Dead letters removed.
    pub(crate) dead_letters_forgotten: u64,
    /// Evidence of failed checks removed.
    pub(crate) evidence_forgotten: u64,
    /// Drops that were put off because others were using the tables.
    pub(crate) left: u64,
    /// Whether nothing was dropped because a clock is not believed.
    pub(crate) doubted: bool,
    /// Whether another run is at work and was left the rest.
    pub(crate) busy: bool,
}

impl Counters {
    /// The run's summary; `ended` when it was asked to end before it was done.
    pub(crate) fn summary(&self, ended: Option<Why>) -> Summary {
        let mut parts: Vec<String> = [
            (self.hours, "hour rolled up", "hours rolled up"),
            (self.days, "day rolled up", "days rolled up"),
            (self.partitions_made, "partition made", "partitions made"),
            (
                self.days_dropped,
                "day of checks dropped",
                "days of checks dropped",
            ),
            (
                self.partitions_dropped,
                "partition of rollups dropped",
                "partitions of rollups dropped",
            ),
            (
                self.names_forgotten,
                "site or location forgotten",
                "sites and locations forgotten",
            ),
            (
                self.dead_letters_forgotten,
                "old dead letter removed",
                "old dead letters removed",
            ),
            (
                self.evidence_forgotten,
                "old piece of evidence removed",
                "old pieces of evidence removed",
            ),
        ]
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| counted(number, one, many))
        .collect();
        if self.busy {
            parts.push("the rest left to another maintain".to_owned());
        }
        if self.left > 0 {
            parts.push("what is old left for the next run, because somebody reads it: pg_stat_activity tells who".to_owned());
        }
        if self.doubted {
            parts.push("what is old kept, because a clock is not believed".to_owned());
        }
        if let Some(why) = ended {
            parts.push(format!("ended by {why}"));
        }
        if parts.is_empty() {
            parts.push("nothing to do".to_owned());
        }
        let summary = Summary::done(
            parts.join(", "),
            vec![
                ("hours", self.hours),
                ("days", self.days),
                ("partitions_made", self.partitions_made),
                ("days_dropped", self.days_dropped),
                ("partitions_dropped", self.partitions_dropped),
                ("names_forgotten", self.names_forgotten),
                ("dead_letters_removed", self.dead_letters_forgotten),
                ("evidence_removed", self.evidence_forgotten),
                ("left", self.left),
            ],
        );
        if self.doubted {
            summary.exiting(Exit::Configuration)
        } else if self.left > 0 || ended.is_some() {
            summary.exiting(Exit::Unfinished)
        } else {
            summary
        }
    }
}
