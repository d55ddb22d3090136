//! What `drain` reads from the environment.

use std::time::Duration;

use sitewatch::run::{Run, Stop};
use sitewatch::settings::{DatabaseSettings, Reader, database, parse, var};
use sitewatch_kafka::KafkaSettings;

/// Typed and valid.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where events come from.
    pub(crate) source: Source,
    /// Where they go.
    pub(crate) database: DatabaseSettings,
    /// The most events in one transaction.
    pub(crate) batch_size: usize,
    /// Connections that write at once.
    pub(crate) workers: usize,
    /// How long the run may take before it leaves the rest to the next one.
    pub(crate) deadline: Duration,
    /// Where to go on when Kafka no longer has the stored offset.
    pub(crate) offset_reset: OffsetReset,
    /// Where to begin.
    pub(crate) start: Start,
    /// The most dead letters that a run may add.
    pub(crate) max_dead_letters: u64,
    /// How many names events may bring.
    pub(crate) max_names: MaxNames,
    /// Only say what a run would do.
    pub(crate) dry_run: bool,
}

impl Settings {
    /// When a run reads and writes nothing more.
    pub(crate) fn stop(&self, run: &Run) -> Stop {
        run.stop.no_later_than(Some(run.started + self.deadline))
    }
}

/// The most names that events may bring into the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxNames {
    /// Sites that one run adds.
    pub(crate) new_sites: u32,
    /// Sites in all that only events named.
    pub(crate) sites: u32,
    /// Locations that one run adds.
    pub(crate) new_locations: u32,
    /// Locations in all.
    pub(crate) locations: u32,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Where recording has got to; a partition that was never drained, at its first message.
    Stored,
    /// Likewise, but a partition that was never drained begins at the group's offset.
    Group,
    /// At the first message, whatever is recorded.
    Earliest,
}

/// Where events come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The topic.
    Kafka(Box<KafkaSettings>),
    /// JSON lines on standard input.
    Stdin,
    /// What could not be recorded before.
    DeadLetters,
}

/// Where to go on when Kafka no longer has the offset where recording had got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetReset {
    /// At the oldest message it has.
    Earliest,
    /// After the newest.
    Latest,
    /// Nowhere: a person decides.
    Fail,
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let from_stdin = reader.decisive(
        &var::DRAIN_SOURCE,
        parse::word(&[("kafka", false), ("stdin", true)]),
    );
    let batch_size = reader.or_default(&var::DRAIN_BATCH_SIZE, parse::count(1, 1_000_000));
    let workers = reader.or_default(&var::DRAIN_WORKERS, parse::count(1, 64));
    let deadline = reader.or_default(&var::DRAIN_DEADLINE, parse::positive_duration);
    let offset_reset = reader.or_default(
        &var::DRAIN_OFFSET_RESET,
        parse::word(&[
            ("earliest", OffsetReset::Earliest),
            ("latest", OffsetReset::Latest),
            ("fail", OffsetReset::Fail),
        ]),
    );
    let start = reader.or_default(
        &var::DRAIN_START,
        parse::word(&[
            ("stored", Start::Stored),
            ("group", Start::Group),
            ("earliest", Start::Earliest),
        ]),
    );
    let max_dead_letters =
        reader.or_default(&var::DRAIN_MAX_DEAD_LETTERS, parse::count(0, u64::MAX));
    let mut most = |variable, limit| {
        let number = reader.or_default(variable, parse::count(0, limit));
        u32::try_from(number).unwrap_or(u32::MAX)
    };
    let max_names = MaxNames {
        new_sites: most(&var::DRAIN_MAX_NEW_SITES, 100_000_000),
        sites: most(&var::DRAIN_MAX_SITES, 100_000_000),
        new_locations: most(&var::DRAIN_MAX_NEW_LOCATIONS, 30_000),
        locations: most(&var::DRAIN_MAX_LOCATIONS, 30_000),
    };
    let replay = reader.or_default(&var::DRAIN_REPLAY_DEAD_LETTERS, parse::boolean);
    let dry_run = reader.or_default(&var::DRAIN_DRY_RUN, parse::boolean);
    if dry_run && (from_stdin == Some(true) || replay) {
        reader.problem(
            var::DRAIN_DRY_RUN.name,
            "is for the topic alone: what standard input or dead_letters hold is only known by reading it",
        );
    }
    if dry_run {
        reader.set_dry_run();
    }
    let source = if replay {
        Some(Source::DeadLetters)
    } else {
        from_stdin.and_then(|from_stdin| {
            if from_stdin {
                Some(Source::Stdin)
            } else {
                KafkaSettings::read(reader).map(|settings| Source::Kafka(Box::new(settings)))
            }
        })
    };
    let database = database(reader);
    Some(Settings {
        source: source?,
        database: database?,
        batch_size: usize::try_from(batch_size).unwrap_or(usize::MAX),
        workers: usize::try_from(workers).unwrap_or(1),
        deadline,
        offset_reset,
        start,
        max_dead_letters,
        max_names,
        dry_run,
    })
}
