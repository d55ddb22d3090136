//! How many sites there are in which state.

use crate::read::sites::Site;

/// Sites by state. One that is checked from several locations counts once, as the worst of them
/// sees it: down, then unknown, then up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) up: usize,
    pub(crate) down: usize,
    pub(crate) unknown: usize,
}

impl Counts {
    /// Adds a line.
    pub(crate) fn add(&mut self, site: &Site) {
        if site.is_worst {
            match site.line.state {
                "down" => self.down += 1,
                "unknown" => self.unknown += 1,
                _ => self.up += 1,
            }
        }
    }

    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.up + self.down + self.unknown
    }
}
