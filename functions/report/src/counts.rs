//! How many sites there are in which state.

use crate::read::sites::Site;
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
    /// Adds a line.
    pub(crate) fn add(&mut self, site: &Site) {
        if site.is_first {
            let number = match site.line.verdict {
                states::UP => &mut self.up,
                states::DEGRADED => &mut self.degraded,
                states::DOWN => &mut self.down,
                states::UNMONITORED => &mut self.unmonitored,
                _ => &mut self.unknown,
            };
            *number += 1;
        }
    }

    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.up + self.degraded + self.down + self.unknown + self.unmonitored
    }
}
