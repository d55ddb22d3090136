//! A site's 90 days, a stroke each.

use std::fmt::Write as _;

use crate::read::days::BAR_DAYS;
use crate::words::percentage;

/// Strokes: one for each day before today, and one for today.
const STROKES: usize = BAR_DAYS + 1;

/// Below this share of a day's checks a day with failures counts as a bad one.
const BAD_BELOW: f64 = 0.95;

/// What a day was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Day {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// Every check found the site up.
    Good,
    /// Some did not.
    Poor,
    /// Many did not.
    Bad,
}

/// The days, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    days: [Day; STROKES],
    up: i64,
    down: i64,
}

impl Default for Bar {
    fn default() -> Self {
        Self {
            days: [Day::Unknown; STROKES],
            up: 0,
            down: 0,
        }
    }
}

impl Bar {
    /// Adds the counts of a day so many days before today.
    pub(super) fn add(&mut self, ago: usize, up: i64, down: i64) {
        if up + down == 0 {
            return;
        }
        let Some(day) = (STROKES - 1)
            .checked_sub(ago)
            .and_then(|at| self.days.get_mut(at))
        else {
            return;
        };
        *day = if down == 0 {
            Day::Good
        } else if up as f64 >= BAD_BELOW * (up + down) as f64 {
            Day::Poor
        } else {
            Day::Bad
        };
        self.up += up;
        self.down += down;
    }

    /// What the bar shows, in words.
    pub(super) fn words(&self) -> String {
        if self.up + self.down == 0 {
            return "90 days: no checks".to_owned();
        }
        let uptime = 100.0 * self.up as f64 / (self.up + self.down) as f64;
        let failed = self.count(Day::Poor) + self.count(Day::Bad);
        let known = STROKES - self.count(Day::Unknown);
        format!(
            "90 days: {} up; failures on {failed} of {known} days",
            percentage(Some(uptime))
        )
    }

    /// The classes of strokes and, of each, an SVG path: horizontal lines, which the style sheet
    /// cuts into strokes by dashes. A line for a run of equal days keeps ten thousand bars small.
    pub(super) fn paths(&self) -> Vec<(&'static str, String)> {
        [
            (Day::Unknown, "none"),
            (Day::Good, "good"),
            (Day::Poor, "poor"),
            (Day::Bad, "bad"),
        ]
        .into_iter()
        .map(|(kind, class)| (class, self.path(kind)))
        .filter(|(_, path)| !path.is_empty())
        .collect()
    }

    fn path(&self, kind: Day) -> String {
        let mut path = String::new();
        let mut at = 0;
        for run in self.days.chunk_by(|one, other| one == other) {
            if run.first() == Some(&kind) {
                // A stroke is three wide and one from the next.
                write!(path, "M{} 8h{}", at * 4, run.len() * 4 - 1)
                    .expect("writing to a String cannot fail");
            }
            at += run.len();
        }
        path
    }

    fn count(&self, kind: Day) -> usize {
        self.days.iter().filter(|day| **day == kind).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_strokes_and_runs_of_equal_days_are_lines() {
        let mut bar = Bar::default();
        assert_eq!(bar.words(), "90 days: no checks");
        bar.add(0, 10, 0);
        bar.add(1, 10, 0);
        bar.add(2, 99, 1);
        bar.add(90, 0, 10);
        bar.add(91, 0, 10);
        assert_eq!(
            bar.paths(),
            [
                ("none", "M4 8h347".to_owned()),
                ("good", "M356 8h7".to_owned()),
                ("poor", "M352 8h3".to_owned()),
                ("bad", "M0 8h3".to_owned()),
            ]
        );
        assert_eq!(bar.words(), "90 days: 91.5 % up; failures on 2 of 4 days");
    }
}
