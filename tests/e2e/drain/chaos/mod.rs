//! `drain` when everything around it goes wrong, over and over, at instants nobody chose.
//!
//! Every story ends the same way: what was sent is compared, as a set, with what is stored and what
//! is dead-lettered. Instants and sizes come from a seed that each story prints; `SITEWATCH_SEED`
//! repeats a run.
#![allow(
    clippy::print_stdout,
    reason = "a story that failed can be had again by the seed it printed"
)]

mod connections;
mod cut;
mod databases;
mod decode;
mod kafkas;
mod killed;
mod ledger;
pub(super) mod raw;
mod together;
mod topics;
mod zombies;
mod zoo;

use sitewatch_tests::command::Finished;

use crate::dice::Dice;
use ledger::Ledger;

/// The run ended as a run may that was disturbed: done, cut off from a server, or with a rest.
#[track_caller]
pub(super) fn ended_well(finished: &Finished) {
    assert!(
        matches!(finished.code, Some(0 | 69 | 75)),
        "a disturbed drain ends with 0, 69 or 75, but it {finished}"
    );
    assert!(
        finished.code == Some(0) || finished.stderr.lines().count() >= 1,
        "it must say why: it {finished}"
    );
}

/// A counter of a run with `LOG_FORMAT=json`, from its last line.
#[track_caller]
pub(super) fn counter(finished: &Finished, name: &str) -> u64 {
    let line = finished.stderr.lines().last().unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("no summary ({error}): it {finished}"));
    line[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: it {finished}"))
}
