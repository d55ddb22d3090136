//! Verdicts as migrations/README.md defines them, worked out the slow and obvious way: at every known
//! check all locations are looked at anew.

use std::collections::BTreeSet;

/// How a site is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// So many failures …
    pub(super) failures: usize,
    /// … of the last so many checks.
    pub(super) checks: usize,
    pub(super) recover: usize,
    pub(super) agree: Agree,
    /// How long a location reports after a check, in microseconds.
    pub(super) limit: i64,
}

/// How many locations have to be down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Agree {
    Any,
    Majority,
    All,
    Number(usize),
}

/// A check of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Check {
    /// Microseconds since 1970.
    pub(super) at: i64,
    pub(super) location: usize,
    pub(super) up: Option<bool>,
    pub(super) maintenance: bool,
}

impl Check {
    /// Whether it found the site up or down and counts.
    pub(super) fn is_known(&self) -> bool {
        self.up.is_some() && !self.maintenance
    }

    fn failed(&self) -> bool {
        self.up == Some(false)
    }
}

/// How a location sees the site after a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: i64,
    /// None: not confirmed yet.
    pub(super) up: Option<bool>,
    pub(super) since: i64,
    /// The first failure since the location was last without one.
    failing_since: Option<i64>,
}

/// How a location sees the site after each of its known checks.
pub(super) fn seen_from(location: usize, checks: &[Check], rule: &Rule) -> Vec<Seen> {
    let known: Vec<Check> = checks
        .iter()
        .filter(|check| check.location == location && check.is_known())
        .copied()
        .collect();
    let mut seen: Vec<Seen> = Vec::new();
    for number in 0..known.len() {
        let last = |many: usize| &known[(number + 1).saturating_sub(many)..=number];
        let before = seen.last().copied();
        let was = before.and_then(|before| before.up);
        let failures = last(rule.checks).iter().filter(|one| one.failed()).count();
        let up = if known[number].failed() && failures >= rule.failures {
            Some(false)
        } else if number + 1 >= rule.recover && last(rule.recover).iter().all(|one| !one.failed()) {
            Some(true)
        } else {
            was
        };
        let kept = last(rule.checks.max(rule.recover) - 1);
        let is_clear = up != Some(false) && !kept.iter().any(Check::failed);
        let failing_since = before
            .and_then(|before| before.failing_since)
            .or(known[number].failed().then_some(known[number].at));
        let at = known[number].at;
        seen.push(Seen {
            at,
            up,
            since: before
                .filter(|_| up == was)
                .map_or(at, |before| before.since),
            failing_since: failing_since.filter(|_| !is_clear),
        });
    }
    seen
}

/// What is said of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Up,
    Degraded,
    Down,
    Unknown,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// A stretch of checks with one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) verdict: Verdict,
    pub(super) since: i64,
    /// The first check with another verdict; None: none yet.
    pub(super) until: Option<i64>,
    /// The locations that were down at one of its checks, and the first failure that led to that.
    pub(super) locations: BTreeSet<usize>,
    pub(super) first_failed: Option<i64>,
    /// Its checks that failed.
    pub(super) failures: i64,
    pub(super) last_failed: Option<i64>,
}

/// All stretches of a site, of whose checks (in order of time) there is one known at least.
pub(super) fn stretches(checks: &[Check], locations: usize, rule: &Rule) -> Vec<Stretch> {
    let seen: Vec<Vec<Seen>> = (0..locations)
        .map(|location| seen_from(location, checks, rule))
        .collect();
    let mut stretches: Vec<Stretch> = Vec::new();
    for check in checks.iter().filter(|check| check.is_known()) {
        let reporting: Vec<(usize, Seen)> = seen
            .iter()
            .enumerate()
            .filter_map(|(location, seen)| {
                let newest = seen.iter().rfind(|seen| seen.at <= check.at)?;
                (check.at - newest.at <= rule.limit).then_some((location, *newest))
            })
            .collect();
        let down: Vec<&(usize, Seen)> = reporting
            .iter()
            .filter(|(_, seen)| seen.up == Some(false))
            .collect();
        let enough = match rule.agree {
            Agree::Any => 1,
            Agree::Majority => reporting.len() / 2 + 1,
            Agree::All => reporting.len(),
            Agree::Number(number) => number.min(reporting.len()),
        };
        let verdict = if !down.is_empty() && down.len() >= enough {
            Verdict::Down
        } else if !down.is_empty() {
            Verdict::Degraded
        } else if reporting.iter().any(|(_, seen)| seen.up == Some(true)) {
            Verdict::Up
        } else {
            Verdict::Unknown
        };
        if stretches.last().is_none_or(|last| last.verdict != verdict) {
            if let Some(last) = stretches.last_mut() {
                last.until = Some(check.at);
            }
            stretches.push(Stretch {
                verdict,
                since: check.at,
                until: None,
                locations: BTreeSet::new(),
                first_failed: None,
                failures: 0,
                last_failed: None,
            });
        }
        let Some(last) = stretches.last_mut() else {
            continue;
        };
        for (location, seen) in down {
            last.locations.insert(*location);
            last.first_failed = match (last.first_failed, seen.failing_since) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        if check.failed() {
            last.failures += 1;
            last.last_failed = Some(check.at);
        }
    }
    stretches
}
