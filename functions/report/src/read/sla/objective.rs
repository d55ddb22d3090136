//! The arithmetic of an error budget: what an objective allows, what incidents have spent of it.

use jiff::{SignedDuration, Timestamp};
use postgres::Row;

use crate::lines::SlaLine;
use crate::period::Period;
use crate::read::coverage::{Watched, between_ms};

/// The availability that is aimed at in a period, and the part of that which can be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objective {
    pub(super) period: Period,
    /// As a percentage.
    pub(super) target: f64,
    pub(super) now: Timestamp,
    /// Where the measured part ends: with the period, now at the latest.
    pub(super) measured_until: Timestamp,
    /// Since when incidents are kept.
    pub(super) kept_from: Timestamp,
}

/// What is known of one site, or the sums of several.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    sites: u64,
    sites_met: u64,
    monitored_ms: i64,
    /// The time that the error budget is a share of: until the end of the period, even when that is
    /// ahead.
    budgeted_ms: i64,
    incidents: i64,
    down_s: i64,
    /// The time that checks should cover, where that is known, and what they cover of it.
    wanted_ms: i64,
    covered_ms: i64,
    /// Whether it is not known of a site that was monitored when it should have been looked at.
    is_coverage_unknown: bool,
}

/// What the database has of a site.
pub(super) struct Observed {
    first_known_at: Option<Timestamp>,
    /// Its newest check, where that is so old that nothing is known since.
    stopped_at: Option<Timestamp>,
    watched: Option<Watched>,
    incidents: i64,
    down_s: i64,
    covered_ms: i64,
}

impl Observed {
    pub(super) fn of(row: &Row, now: Timestamp) -> Self {
        let newest: Option<Timestamp> = row.get(3);
        let slots: (Option<Timestamp>, Option<Timestamp>, Option<i32>) =
            (row.get(5), row.get(6), row.get(7));
        Self {
            first_known_at: row.get(2),
            stopped_at: newest.filter(|_| row.get(4)),
            watched: match slots {
                (Some(first), Some(newest), Some(interval_ms)) => {
                    let interval = SignedDuration::from_millis(interval_ms.into());
                    Some(Watched::new(first, newest, interval, now))
                }
                _ => None,
            },
            incidents: row.get(8),
            down_s: row.get(9),
            covered_ms: row.get(10),
        }
    }
}

impl Objective {
    pub(super) fn statistics(&self, site: &Observed) -> Statistics {
        let from = self.period.from.max(self.kept_from);
        // A site that was never checked has no budget.
        let begins = site.first_known_at.unwrap_or(Timestamp::MAX).max(from);
        let stopped_at = site.stopped_at.unwrap_or(Timestamp::MAX);
        let monitored_ms = between_ms(begins, self.measured_until.min(stopped_at));
        let wanted_ms = site
            .watched
            .map_or(0, |watched| watched.within(from, self.measured_until));
        let mut statistics = Statistics {
            sites: 1,
            sites_met: 0,
            monitored_ms,
            budgeted_ms: between_ms(begins, self.period.until.min(stopped_at)),
            incidents: site.incidents,
            down_s: site.down_s,
            wanted_ms,
            covered_ms: site.covered_ms.min(wanted_ms),
            is_coverage_unknown: monitored_ms > 0 && site.watched.is_none(),
        };
        statistics.sites_met = u64::from(self.is_met(&statistics) == Some(true));
        statistics
    }

    /// The error budget: for how many milliseconds the sites may be down.
    fn budget_ms(&self, statistics: &Statistics) -> i64 {
        (statistics.budgeted_ms as f64 * (100.0 - self.target) / 100.0).round() as i64
    }

    /// `None`: that is not known, because the period goes on or because nobody looked for longer than
    /// the sites may still be down for.
    fn is_met(&self, statistics: &Statistics) -> Option<bool> {
        let left_ms = self.budget_ms(statistics) - statistics.down_s * 1_000;
        let is_over = self.period.until <= self.measured_until;
        if statistics.monitored_ms == 0 {
            None
        } else if left_ms < 0 {
            Some(false)
        } else {
            let is_certain = statistics.uncovered_ms().is_some_and(|ms| ms <= left_ms);
            (is_over && is_certain).then_some(true)
        }
    }

    pub(super) fn line(
        &self,
        statistics: Statistics,
        site: Option<String>,
        group: Option<String>,
    ) -> SlaLine {
        let budget_ms = self.budget_ms(&statistics);
        SlaLine {
            scope: if site.is_some() { "site" } else { "group" },
            site,
            group,
            from: self.period.from.max(self.kept_from),
            until: self.period.until,
            sites: statistics.sites,
            sites_met: statistics.sites_met,
            monitored_s: statistics.monitored_ms / 1_000,
            uptime: share(
                statistics.monitored_ms - statistics.down_s * 1_000,
                statistics.monitored_ms,
            ),
            downtime_s: statistics.down_s,
            incidents: statistics.incidents,
            coverage: share(statistics.covered_ms, statistics.wanted_ms),
            uncovered_s: statistics.uncovered_ms().map(|ms| ms / 1_000),
            target: self.target,
            budget_s: budget_ms / 1_000,
            budget_left_s: (budget_ms - statistics.down_s * 1_000).div_euclid(1_000),
            met: self.is_met(&statistics),
        }
    }
}

impl Statistics {
    pub(super) fn add(&mut self, other: Self) {
        self.sites += other.sites;
        self.sites_met += other.sites_met;
        self.monitored_ms += other.monitored_ms;
        self.budgeted_ms += other.budgeted_ms;
        self.incidents += other.incidents;
        self.down_s += other.down_s;
        self.wanted_ms += other.wanted_ms;
        self.covered_ms += other.covered_ms;
        self.is_coverage_unknown |= other.is_coverage_unknown;
    }

    /// For how long nobody looked who should have; `None`: that is not known.
    fn uncovered_ms(&self) -> Option<i64> {
        (!self.is_coverage_unknown).then_some(self.wanted_ms - self.covered_ms)
    }
}

/// As a percentage; `None` of nothing.
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| (100.0 * part as f64 / whole as f64).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_020 + minutes * 60).unwrap()
    }

    /// 99 % of a thousand minutes, measured until now.
    fn objective(now: i64) -> Objective {
        Objective {
            period: Period {
                from: at(0),
                until: at(1_000),
            },
            target: 99.0,
            now: at(now),
            measured_until: at(now.min(1_000)),
            kept_from: at(0),
        }
    }

    fn observed(down: i64, covered: i64) -> Observed {
        Observed {
            first_known_at: Some(at(-5)),
            stopped_at: None,
            watched: Some(Watched {
                from: at(-5),
                until: at(2_000),
            }),
            incidents: 1,
            down_s: down * 60,
            covered_ms: covered * 60_000,
        }
    }

    #[test]
    fn an_objective_is_met_when_even_what_nobody_saw_would_not_exceed_the_budget() {
        for (now, down, covered, met) in [
            (2_000, 0, 1_000, Some(true)),
            (2_000, 10, 1_000, Some(true)),
            (2_000, 11, 1_000, Some(false)),
            (2_000, 4, 994, Some(true)),
            (2_000, 4, 993, None),
            // It goes on.
            (500, 4, 500, None),
            (500, 11, 500, Some(false)),
        ] {
            let objective = objective(now);
            let statistics = objective.statistics(&observed(down, covered));
            assert_eq!(objective.is_met(&statistics), met, "{now} {down} {covered}");
            assert_eq!(objective.budget_ms(&statistics), 600_000);
        }
        let unseen = Observed {
            watched: None,
            ..observed(0, 0)
        };
        let objective = objective(2_000);
        assert_eq!(objective.is_met(&objective.statistics(&unseen)), None);
    }

    #[test]
    fn a_site_counts_from_its_first_check_to_its_last() {
        let objective = objective(2_000);
        let late = Observed {
            first_known_at: Some(at(600)),
            stopped_at: Some(at(800)),
            ..observed(2, 1_000)
        };
        let line = objective.line(objective.statistics(&late), Some("shop".to_owned()), None);
        assert_eq!((line.monitored_s, line.budget_s), (200 * 60, 120));
        assert_eq!((line.budget_left_s, line.uptime), (0, Some(99.0)));
        let never = Observed {
            first_known_at: None,
            watched: None,
            ..observed(0, 0)
        };
        let line = objective.line(objective.statistics(&never), Some("new".to_owned()), None);
        assert_eq!((line.monitored_s, line.uptime, line.met), (0, None, None));
    }
}
