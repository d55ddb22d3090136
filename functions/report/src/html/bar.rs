//! A site's 90 days, a stroke each.

use std::fmt::Write as _;

use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::read::coverage::Watched;
use crate::read::span::{DAYS, midnight};
use crate::read::uptime::Counts;
use crate::wording::{Words, fill};

/// Strokes: one for each day before today, and one for today.
const STROKES: usize = DAYS as usize + 1;

/// Below this share of a day's checks a day with failures counts as a bad one.
const BAD_BELOW: f64 = 0.95;

/// Below this share of the time in which a day should have been looked at it has a hole.
const HOLE_BELOW: f64 = 0.95;

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
    fn of(Checked { up, down, .. }: Checked) -> Self {
        match (up, down) {
            (0, 0) => Self::Unknown,
            (_, 0) => Self::Good,
            _ if f64::from(up) >= BAD_BELOW * (f64::from(up) + f64::from(down)) => Self::Poor,
            _ => Self::Bad,
        }
    }
}

/// What the checks of a day found, in as little memory as that takes: there are ninety for each site.
#[derive(Clone, Copy, Debug, Default)]
struct Checked {
    up: u32,
    down: u32,
    covered_ms: u32,
}

/// The days, oldest first. The last day's counts come in parts.
#[derive(Clone, Debug)]
pub(super) struct Bar([Checked; STROKES]);

impl Default for Bar {
    fn default() -> Self {
        Self([Checked::default(); STROKES])
    }
}

impl Bar {
    /// Adds counts of a day so many days before today; below nothing they take away what was added.
    pub(super) fn add(&mut self, ago: usize, counts: Counts) {
        let narrow = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
        if let Some(day) = (STROKES - 1)
            .checked_sub(ago)
            .and_then(|at| self.0.get_mut(at))
        {
            day.up = day.up.saturating_add_signed(narrow(counts.up));
            day.down = day.down.saturating_add_signed(narrow(counts.down));
            day.covered_ms = day
                .covered_ms
                .saturating_add_signed(narrow(counts.covered_ms));
        }
    }

    /// The bar of a site that should have been looked at when `watched` says; `None`: that is not known.
    pub(super) fn draw(&self, watched: Option<Watched>, today: Date, words: &Words) -> Drawing {
        let days: Vec<Day> = self.0.iter().copied().map(Day::of).collect();
        let holes: Vec<bool> = (0..STROKES)
            .zip(&self.0)
            .map(|(at, day)| {
                let ago = (STROKES - 1 - at) as i64;
                let wanted = watched.map_or(0, |watched| {
                    let date = today.saturating_sub(ago.days());
                    watched.within(midnight(date), midnight(date.saturating_add(1.day())))
                });
                f64::from(day.covered_ms) < HOLE_BELOW * wanted as f64
            })
            .collect();
        let paths = [
            (Day::Unknown, "none"),
            (Day::Good, "good"),
            (Day::Poor, "poor"),
            (Day::Bad, "bad"),
        ]
        .into_iter()
        .map(|(kind, class)| (class, path(&days, &kind)))
        // Into strokes that are there: a day without any check is one hole.
        .chain([("hole", path(&holes, &true))])
        .filter(|(_, path)| !path.is_empty())
        .collect();
        Drawing {
            paths,
            description: self.description(holes.iter().filter(|hole| **hole).count(), words),
        }
    }

    fn description(&self, holes: usize, words: &Words) -> String {
        let sum = |of: fn(&Checked) -> u32| self.0.iter().map(|day| f64::from(of(day))).sum();
        let (up, down): (f64, f64) = (sum(|day| day.up), sum(|day| day.down));
        if up + down == 0.0 {
            return words.bar_no_checks.clone();
        }
        let failed = self.0.iter().filter(|day| day.down > 0).count();
        let known = self.0.iter().filter(|day| day.up + day.down > 0).count();
        let uptime = words.percentage(Some(100.0 * up / (up + down)));
        let text = fill(
            &words.bar,
            &[("uptime", &uptime), ("failed", &failed), ("known", &known)],
        );
        match holes {
            0 => text,
            1 => format!("{text}; {}", words.bar_hole_one),
            _ => {
                let holes = fill(&words.bar_hole_many, &[("count", &holes)]);
                format!("{text}; {holes}")
            }
        }
    }
}

/// A bar, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drawing {
    /// The classes of strokes and, of each, an SVG path: horizontal lines, which the style sheet cuts
    /// into strokes by dashes. A line for a run of equal days keeps ten thousand bars small.
    pub(super) paths: Vec<(&'static str, String)>,
    /// What it shows, for people.
    pub(super) description: String,
}

fn path<T: PartialEq>(days: &[T], kind: &T) -> String {
    let mut path = String::new();
    let mut at = 0;
    for run in days.chunk_by(|one, other| one == other) {
        if run.first() == Some(kind) {
            // A stroke is three wide and one from the next.
            write!(path, "M{} 8h{}", at * 4, run.len() * 4 - 1)
                .expect("writing to a String cannot fail");
        }
        at += run.len();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 28);

    fn counts(up: i64, down: i64, covered_hours: i64) -> Counts {
        Counts {
            up,
            down,
            covered_ms: covered_hours * 3_600_000,
        }
    }

    #[test]
    fn days_are_strokes_and_runs_of_equal_days_are_lines() {
        let mut bar = Bar::default();
        assert_eq!(
            bar.draw(None, TODAY, &Words::english()).description,
            "90 days: no checks"
        );
        bar.add(0, counts(10, 0, 0));
        bar.add(1, counts(10, 0, 0));
        bar.add(2, counts(99, 1, 0));
        bar.add(90, counts(0, 10, 0));
        bar.add(91, counts(0, 10, 0));
        assert_eq!(
            bar.draw(None, TODAY, &Words::english()),
            Drawing {
                paths: vec![
                    ("none", "M4 8h347".to_owned()),
                    ("good", "M356 8h7".to_owned()),
                    ("poor", "M352 8h3".to_owned()),
                    ("bad", "M0 8h3".to_owned()),
                ],
                description: "90 days: 91.5 % up; failures on 2 of 4 days".to_owned(),
            }
        );
    }

    #[test]
    fn a_day_that_was_not_wholly_checked_has_a_hole() {
        let watched = Watched {
            from: midnight(TODAY.saturating_sub(4.days())),
            until: midnight(TODAY),
        };
        let mut bar = Bar::default();
        // Nobody knows whether somebody should have looked then.
        bar.add(5, counts(10, 0, 1));
        bar.add(4, counts(10, 0, 24));
        bar.add(3, counts(10, 0, 22));
        bar.add(1, counts(10, 0, 23));
        let drawn = bar.draw(Some(watched), TODAY, &Words::english());
        assert_eq!(drawn.paths.last(), Some(&("hole", "M348 8h7".to_owned())));
        assert_eq!(
            drawn.description,
            "90 days: 100 % up; failures on 0 of 4 days; 2 days not wholly checked"
        );
    }
}
