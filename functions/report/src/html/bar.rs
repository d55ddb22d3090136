//! A site's 90 days, a stroke each.

use std::fmt::{self, Write as _};

use crate::read::span::DAYS;
use crate::words::percentage;

/// Strokes: one for each day before today, and one for today.
const STROKES: usize = DAYS as usize + 1;

/// Below this share of a day's checks a day with failures counts as a bad one.
const BAD_BELOW: f64 = 0.95;

/// What a day was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// Nothing is known of it.
    Unknown,
    /// Every check found the site up.
    Good,
    /// Some did not.
    Poor,
    /// Many did not.
    Bad,
}

impl Day {
    fn of((up, down): (u32, u32)) -> Self {
        match (up, down) {
            (0, 0) => Self::Unknown,
            (_, 0) => Self::Good,
            _ if f64::from(up) >= BAD_BELOW * (f64::from(up) + f64::from(down)) => Self::Poor,
            _ => Self::Bad,
        }
    }
}

/// The days, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// Checks that found the site up, and down. The last day's come in parts.
    days: [(u32, u32); STROKES],
}

impl Default for Bar {
    fn default() -> Self {
        Self {
            days: [(0, 0); STROKES],
        }
    }
}

impl Bar {
    /// Adds counts of a day so many days before today.
    pub(super) fn add(&mut self, ago: usize, up: i64, down: i64) {
        let narrow = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(day) = (STROKES - 1)
            .checked_sub(ago)
            .and_then(|at| self.days.get_mut(at))
        {
            day.0 = day.0.saturating_add(narrow(up));
            day.1 = day.1.saturating_add(narrow(down));
        }
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
        for run in self
            .days
            .chunk_by(|one, other| Day::of(*one) == Day::of(*other))
        {
            if run.first().is_some_and(|day| Day::of(*day) == kind) {
                // A stroke is three wide and one from the next.
                write!(path, "M{} 8h{}", at * 4, run.len() * 4 - 1)
                    .expect("writing to a String cannot fail");
            }
            at += run.len();
        }
        path
    }
}

/// What the bar shows, for people.
impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up: f64 = self.days.iter().map(|(up, _)| f64::from(*up)).sum();
        let down: f64 = self.days.iter().map(|(_, down)| f64::from(*down)).sum();
        if up + down == 0.0 {
            return f.write_str("90 days: no checks");
        }
        let failed = self.days.iter().filter(|(_, down)| *down > 0).count();
        let known = self.days.iter().filter(|day| **day != (0, 0)).count();
        write!(
            f,
            "90 days: {} up; failures on {failed} of {known} days",
            percentage(Some(100.0 * up / (up + down)))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_strokes_and_runs_of_equal_days_are_lines() {
        let mut bar = Bar::default();
        assert_eq!(bar.to_string(), "90 days: no checks");
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
        assert_eq!(
            bar.to_string(),
            "90 days: 91.5 % up; failures on 2 of 4 days"
        );
    }
}
