//! What is to be told: what the checks say now, compared with the incidents told so far.
//!
//! Nothing here asks the database or the clock, so that all of it is tested without either.

mod follow;
mod incident;
#[cfg(test)]
mod tests;

pub(crate) use incident::{Incident, Told};

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, Kind};
use crate::read::{Expiry, Seen, Silence};
use crate::settings::Telling;

/// The most reminders of one incident.
const MAX_REMINDERS: i32 = 10;

/// What decides, besides what is seen and what was told.
pub(crate) struct Rules<'a> {
    /// When this is decided.
    pub(crate) now: Timestamp,
    /// Whether nothing was ever decided before.
    pub(crate) is_first: bool,
    /// What was configured.
    pub(crate) telling: &'a Telling,
}

impl Rules<'_> {
    /// Whether an incident is told at all.
    fn tells(&self, opened_at: Timestamp, goes_on: bool) -> bool {
        match self.telling.since {
            Some(since) => opened_at >= since,
            None => goes_on || !self.is_first,
        }
    }
}

/// Brings the incidents, oldest first, up to date with what is seen, and returns those that have to
/// be stored or have something to be told of.
pub(crate) fn decide(incidents: Vec<Incident>, seen: &Seen, rules: &Rules<'_>) -> Vec<Incident> {
    let mut latest: BTreeMap<(i32, Kind), Incident> = incidents
        .into_iter()
        .map(|incident| ((incident.website, incident.kind), incident))
        .collect();
    let mut decided = Vec::new();
    for outages in seen
        .outages
        .chunk_by(|one, next| one.website == next.website)
    {
        let of_site = latest.remove(&(outages[0].website, Kind::Availability));
        decided.extend(follow::follow(of_site, outages, rules));
    }
    for expiry in &seen.expiries {
        let of_site = latest.remove(&(expiry.website, Kind::Certificate));
        decided.extend(certificate(of_site, expiry, rules));
    }
    for silence in &seen.silences {
        let of_site = latest.remove(&(silence.website, Kind::Monitoring));
        decided.extend(monitoring(of_site, *silence, rules));
    }
    for ((_, kind), unseen) in latest {
        if kind == Kind::Availability {
            decided.extend(follow::follow(Some(unseen), &[], rules));
        }
    }
    decided.retain(Incident::is_changed);
    decided
}

fn certificate(latest: Option<Incident>, expiry: &Expiry, rules: &Rules<'_>) -> Option<Incident> {
    let left = expiry.not_after.duration_since(rules.now);
    let days = &rules.telling.certificate_days;
    let passed = days
        .iter()
        .filter(|days| left <= SignedDuration::from_hours(24 * i64::from(**days)))
        .count();
    let passed = i32::try_from(passed).unwrap_or(i32::MAX);
    let mut incident = match latest.filter(Incident::is_open) {
        Some(incident) => incident,
        None if passed == 0 => return None,
        None => {
            let tells = rules.tells(rules.now, true);
            let mut new = Incident::new(expiry.website, Kind::Certificate, rules.now, tells);
            new.times = passed;
            new.certificate_not_after = Some(expiry.not_after);
            new.tell(Event::Certificate, passed);
            return Some(new);
        }
    };
    incident.certificate_not_after = Some(expiry.not_after);
    if passed == 0 {
        incident.close(rules.now, Event::CertificateRenewed, 1);
    } else if passed > incident.times {
        incident.times = passed;
        incident.tell(Event::Certificate, passed);
    }
    Some(incident)
}

fn monitoring(latest: Option<Incident>, silence: Silence, rules: &Rules<'_>) -> Option<Incident> {
    match latest.filter(Incident::is_open) {
        Some(mut incident) => {
            if !silence.is_silent {
                incident.close(rules.now, Event::Resumed, 1);
            }
            Some(incident)
        }
        None if silence.is_silent => {
            // What nobody has checked since before the first run is no news.
            let tells = rules.tells(silence.checked_at, false);
            let kind = Kind::Monitoring;
            let mut new = Incident::new(silence.website, kind, silence.checked_at, tells);
            new.tell(Event::MonitoringStopped, 1);
            Some(new)
        }
        None => None,
    }
}
