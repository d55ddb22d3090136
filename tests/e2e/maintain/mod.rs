//! `maintain`: what is added up, what comes late, what goes, and what happens when it is disturbed.

mod clocks;
mod counted;
mod disturbed;
mod forgotten;
mod incidents;
mod old;
mod verdicts;

use jiff::{SignedDuration, Timestamp, Unit};
use sitewatch::event::CheckEvent;

use crate::support::{now, record};

/// The beginning of an hour, so many hours before the one that is running.
pub(super) fn hours_ago(hours: i64) -> Timestamp {
    let this_hour = now()
        .round(
            jiff::TimestampRound::new()
                .smallest(Unit::Hour)
                .mode(jiff::RoundMode::Trunc),
        )
        .unwrap();
    this_hour - SignedDuration::from_hours(hours)
}

pub(super) fn at(event: CheckEvent<'static>, time: Timestamp) -> CheckEvent<'static> {
    CheckEvent {
        checked_at: time,
        ..event
    }
}

pub(super) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}
