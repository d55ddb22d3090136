//! Finishing: what a run did, in counters, and the group's offsets for Kafka's tools.

use std::collections::BTreeMap;

use sitewatch::run::{Exit, Summary};
use sitewatch::units::counted;
use sitewatch_kafka::Reader;

/// Counters of a batch, or of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Checks recorded.
    pub(crate) recorded: u64,
    /// Events whose check was recorded before.
    pub(crate) repeated: u64,
    /// Messages put into `dead_letters`.
    pub(crate) dead_letters: u64,
    /// Transactions.
    pub(crate) batches: u64,
    /// Messages that Kafka no longer had.
    pub(crate) lost: u64,
    /// Partitions that another drain is at work on.
    pub(crate) busy: u64,
    /// Offsets not reached.
    pub(crate) left: u64,
}

impl Counters {
    /// Adds a batch's counters to a run's.
    pub(crate) fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.repeated += other.repeated;
        self.dead_letters += other.dead_letters;
        self.batches += other.batches;
        self.lost += other.lost;
        self.busy += other.busy;
        self.left += other.left;
    }

    /// The run's summary, of a run that did all it planned.
    pub(crate) fn summary(self) -> Summary {
        let mut parts = vec![counted(self.recorded, "check", "checks") + " recorded"];
        for (number, text) in [
            (self.repeated, "repeated"),
            (self.dead_letters, "dead-lettered"),
            (self.lost, "lost (see kafka_losses)"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {text}"));
            }
        }
        if self.busy > 0 {
            parts.push(counted(self.busy, "partition", "partitions") + " left to another drain");
        }
        if self.left > 0 {
            parts.push(format!("{} left for the next run", self.left));
        }
        Summary::done(
            parts.join(", "),
            vec![
                ("recorded", self.recorded),
                ("repeated", self.repeated),
                ("dead_letters", self.dead_letters),
                ("lost", self.lost),
                ("batches", self.batches),
                ("partitions_busy", self.busy),
                ("left", self.left),
            ],
        )
    }
}

/// The summary of a run that was stopped, or left something.
pub(crate) fn unfinished(summary: Summary, why: &str) -> Summary {
    let mut summary = summary.exiting(Exit::Unfinished);
    summary.sentence = format!("{}; {why}", summary.sentence);
    summary
}

/// For lag tools and autoscalers only: what is recorded is in PostgreSQL.
pub(crate) fn commit_group(reader: &mut Reader, positions: &BTreeMap<i32, i64>) {
    if positions.is_empty() {
        return;
    }
    let positions: Vec<(i32, i64)> = positions
        .iter()
        .map(|(partition, next)| (*partition, *next))
        .collect();
    if let Err(error) = reader.commit(&positions) {
        log::warn!(
            "the group's offsets were not told to Kafka, so its tools show too much lag: {error}"
        );
    }
}
