//! `drain` when everything around it goes wrong, over and over, at instants nobody chose.
//!
//! Every story ends the same way: what was sent is compared, as a set, with what is stored and what
//! is dead-lettered. Instants and sizes come from a seed that each story prints; `SITEWATCH_SEED`
//! repeats a run.
#![allow(
    clippy::print_stdout,
    reason = "a story that failed can be had again by the seed it printed"
)]

mod cut;
mod databases;
mod decode;
mod frozen;
mod kafkas;
mod killed;
mod ledger;
mod raw;
mod together;
mod topics;
mod zoo;

use std::env;

use sitewatch_tests::command::Finished;

use ledger::Ledger;

/// Random numbers that can be had again: splitmix64.
pub(super) struct Dice(u64);

impl Dice {
    /// Seeded by `SITEWATCH_SEED`, else by chance; says which.
    pub(super) fn new(story: &str) -> Self {
        let seed = match env::var_os("SITEWATCH_SEED") {
            Some(seed) => seed.to_str().and_then(|seed| seed.parse().ok()).unwrap(),
            None => u64::from(uuid::Uuid::now_v7().as_u128() as u32),
        };
        println!("{story}: SITEWATCH_SEED={seed}");
        Self(seed)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` up to, not including, `to`.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.number() % (to - from)
    }

    pub(super) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.between(0, from.len() as u64) as usize]
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.number().is_multiple_of(many)
    }
}

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

/// A figure of a run with `LOG_FORMAT=json`, from its last line.
#[track_caller]
pub(super) fn figure(finished: &Finished, name: &str) -> u64 {
    let line = finished.stderr.lines().last().unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("no summary ({error}): it {finished}"));
    line[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: it {finished}"))
}
