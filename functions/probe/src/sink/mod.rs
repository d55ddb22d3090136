//! Where results go as they finish: Kafka (with a spool for when it is away), or standard output.

mod backlog;
mod journal;
mod kafka;
mod line;
mod message;
mod queue;
mod record;
mod spool;
mod stdout;

use std::sync::Arc;
use std::time::Instant;

use sitewatch::event::CheckEvent;
use sitewatch::run::{Failure, Run, Stop};
use sitewatch::site::Site;

pub(crate) use kafka::KafkaSink;
pub(crate) use spool::Spool;
pub(crate) use stdout::Stdout;

use crate::settings::SinkSettings;

/// Where results go. Publishing never waits for Kafka.
pub(crate) enum Sink {
    Stdout(Stdout),
    Kafka(Box<KafkaSink>),
}

/// What became of the results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Acknowledged by Kafka, or written to standard output.
    pub(crate) published: u64,
    /// Of these, results of earlier runs.
    pub(crate) from_spool: u64,
    /// Kept in the spool for the next run.
    pub(crate) spooled: u64,
    /// Neither: printed to standard error.
    pub(crate) printed: u64,
    /// Why not all were published; `None`: all were.
    pub(crate) trouble: Option<String>,
}

impl Sink {
    /// Opens the sink.
    ///
    /// # Errors
    /// When results could go nowhere: Kafka is away and there is no spool.
    pub(crate) fn open(
        settings: &SinkSettings,
        run: &Run,
        sites: &[Arc<Site>],
        stop: &Stop,
    ) -> Result<Self, Failure> {
        match settings {
            SinkSettings::Stdout => Ok(Self::Stdout(Stdout::open(run, sites))),
            SinkSettings::Kafka { kafka, spool } => {
                KafkaSink::open(kafka, spool.clone(), stop).map(|sink| Self::Kafka(Box::new(sink)))
            }
        }
    }

    /// Takes a result.
    pub(crate) fn publish(&self, event: &CheckEvent<'_>) {
        match self {
            Self::Stdout(sink) => sink.publish(event),
            Self::Kafka(sink) => sink.publish(event),
        }
    }

    /// Writes what was taken and waits for company: whoever publishes does so before it waits itself.
    pub(crate) fn write(&self) {
        match self {
            Self::Stdout(sink) => sink.write(),
            // A thread of its own does.
            Self::Kafka(_) => {}
        }
    }

    /// Whether so many results wait that no further checks should begin for now.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Stdout(_) => false,
            Self::Kafka(sink) => sink.is_full(),
        }
    }

    /// Whether results can go nowhere any more, so that checks are in vain.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Self::Stdout(sink) => sink.is_broken(),
            Self::Kafka(_) => false,
        }
    }

    /// Whether somebody reads along as results come.
    pub(crate) fn is_watched(&self) -> bool {
        match self {
            Self::Stdout(sink) => sink.is_watched(),
            Self::Kafka(_) => false,
        }
    }

    /// Waits until every result is safe, no longer than until `deadline` for Kafka.
    pub(crate) fn finish(&self, deadline: Instant) -> Delivered {
        match self {
            Self::Stdout(sink) => sink.finish(),
            Self::Kafka(sink) => sink.finish(deadline),
        }
    }
}
