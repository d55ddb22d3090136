//! How many sites there are in which state.

use std::collections::HashMap;

use crate::lines::SiteLine;

/// Sites by state. One that is checked from several places counts once, as the worst of them sees
/// it: down, then unknown, then up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) up: usize,
    pub(crate) down: usize,
    pub(crate) unknown: usize,
}

impl Counts {
    /// Counts the sites of these lines.
    pub(crate) fn of<'a>(lines: impl Iterator<Item = &'a SiteLine>) -> Self {
        let mut worst: HashMap<&str, usize> = HashMap::new();
        for line in lines {
            let badness = match line.state {
                "down" => 2,
                "unknown" => 1,
                _ => 0,
            };
            let known = worst.entry(&line.site).or_default();
            *known = badness.max(*known);
        }
        let mut counts = Self::default();
        for badness in worst.into_values() {
            match badness {
                2 => counts.down += 1,
                1 => counts.unknown += 1,
                _ => counts.up += 1,
            }
        }
        counts
    }

    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.up + self.down + self.unknown
    }
}
