//! Chance that can be repeated.
#![allow(
    clippy::print_stdout,
    reason = "a story that failed can be had again by the seed it printed"
)]

use std::env;

/// Random numbers that can be had again: splitmix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// Seeded by `SITEWATCH_SEED`, else by chance; says which.
    pub(crate) fn new(story: &str) -> Self {
        let seed = match env::var_os("SITEWATCH_SEED") {
            Some(seed) => seed.to_str().and_then(|seed| seed.parse().ok()).unwrap(),
            None => u64::from(uuid::Uuid::now_v7().as_u128() as u32),
        };
        println!("{story}: SITEWATCH_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` up to, not including, `to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.number() % (to - from)
    }

    pub(crate) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.between(0, from.len() as u64) as usize]
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.number().is_multiple_of(many)
    }
}
