//! How many sites there are in which state.

use std::ops::{AddAssign, Sub};

use crate::states;

/// Sites by state. One that is checked from several locations counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) up: usize,
    pub(crate) down: usize,
    pub(crate) unknown: usize,
    pub(crate) degraded: usize,
    pub(crate) unmonitored: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.up += other.up;
        self.down += other.down;
        self.unknown += other.unknown;
        self.degraded += other.degraded;
        self.unmonitored += other.unmonitored;
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            up: self.up - other.up,
            down: self.down - other.down,
            unknown: self.unknown - other.unknown,
            degraded: self.degraded - other.degraded,
            unmonitored: self.unmonitored - other.unmonitored,
        }
    }
}

impl Counts {
    /// Adds a site with this verdict.
    pub(crate) fn add(&mut self, verdict: &'static str) {
        let number = match verdict {
            states::UP => &mut self.up,
            states::DEGRADED => &mut self.degraded,
            states::DOWN => &mut self.down,
            states::UNMONITORED => &mut self.unmonitored,
            _ => &mut self.unknown,
        };
        *number += 1;
    }

    /// How many are in which state, the worst first; nothing of states that none is in.
    pub(crate) fn worst_first(self) -> impl Iterator<Item = (usize, &'static str)> {
        [
            (self.down, states::DOWN),
            (self.degraded, states::DEGRADED),
            (self.unknown, states::UNKNOWN),
            (self.unmonitored, states::UNMONITORED),
            (self.up, states::UP),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
    }

    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.up + self.degraded + self.down + self.unknown + self.unmonitored
    }
}
