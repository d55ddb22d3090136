//! How many sites there are in which state.

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

    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.up + self.degraded + self.down + self.unknown + self.unmonitored
    }
}
