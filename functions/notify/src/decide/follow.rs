//! A site's outages, followed from the incident that was told last.
//!
//! Outages are derived from checks, and a check that comes late changes them: one begins earlier, two
//! become one, one that was over goes on. What overlaps is the same one.

use jiff::{SignedDuration, Timestamp};

use super::{Incident, Rules};
use crate::event::{Event, Kind};
use crate::read::Outage;

/// The incidents that a site's outages, in order of time, make of the latest one.
pub(super) fn follow(
    latest: Option<Incident>,
    outages: &[Outage],
    rules: &Rules<'_>,
) -> Vec<Incident> {
    let window = rules.telling.flap_window;
    let mut followed = Vec::new();
    let mut current = latest;
    for outage in outages {
        // Whether the one before was over for good is known once the next one begins.
        if let Some(incident) = &mut current
            && !is_same(incident, outage)
            && outage.opened_at > incident.last_opened_at
        {
            settle(incident, outage.opened_at, window);
        }
        match &mut current {
            Some(incident) if is_same(incident, outage) => update(incident, outage, rules),
            // History, which was told or is not told any more.
            Some(incident) if outage.opened_at <= incident.last_opened_at => continue,
            Some(incident) if is_again(incident, outage, window) => again(incident, outage),
            _ => followed.extend(current.replace(begin(outage, rules))),
        }
    }
    if let Some(mut incident) = current {
        let seen = outages.last().filter(|outage| is_same(&incident, outage));
        if seen.is_none() && incident.is_open() && incident.last_closed_at.is_none() {
            // Corrected by checks that came late: what goes on is always seen.
            incident.last_closed_at = Some(rules.now.max(incident.last_opened_at));
            incident.must_be_stored = true;
        }
        settle(&mut incident, rules.now, window);
        incident.remind_and_acknowledge(rules, seen);
        followed.push(incident);
    }
    followed
}

/// Whether an outage is the incident's latest one: both were going on at some time.
fn is_same(incident: &Incident, outage: &Outage) -> bool {
    let begins_in_it = incident
        .last_closed_at
        .is_none_or(|closed_at| outage.opened_at < closed_at);
    let ends_in_it = outage
        .closed_at
        .is_none_or(|closed_at| closed_at > incident.last_opened_at);
    begins_in_it && ends_in_it
}

/// Whether an outage that begins later belongs to the incident all the same.
fn is_again(incident: &Incident, outage: &Outage, window: SignedDuration) -> bool {
    // What was not told must not swallow what is.
    incident.is_told
        && incident
            .closed_at
            .is_none_or(|closed_at| outage.opened_at.duration_since(closed_at) < window)
}

fn begin(outage: &Outage, rules: &Rules<'_>) -> Incident {
    let tells = rules.tells(outage.opened_at, outage.closed_at.is_none());
    let mut incident = Incident::new(outage.website, Kind::Availability, outage.opened_at, tells);
    describe(&mut incident, outage);
    incident.is_down = outage.is_down;
    incident.tell(begins(&incident), 1);
    incident.last_closed_at = outage.closed_at;
    incident
}

/// The event that an outage begins with.
fn begins(incident: &Incident) -> Event {
    if incident.is_down {
        Event::Down
    } else {
        Event::Degraded
    }
}

fn update(incident: &mut Incident, outage: &Outage, rules: &Rules<'_>) {
    describe(incident, outage);
    if outage.is_down && !incident.is_down {
        incident.is_down = true;
        // How often that was decided before makes no difference: each number is told once.
        incident.tell(Event::Down, round(incident));
    }
    if incident.last_closed_at == outage.closed_at {
        return;
    }
    incident.must_be_stored = true;
    let was_told_over = !incident.is_open();
    incident.last_closed_at = outage.closed_at;
    if was_told_over && outage.closed_at.is_none() {
        // A check that came late shows that it was not over.
        incident.closed_at = None;
        if incident.is_told {
            recur(incident);
        } else if rules.tells(incident.opened_at, true) {
            incident.is_told = true;
            incident.tell(begins(incident), 1);
        }
    } else if was_told_over {
        incident.closed_at = outage.closed_at;
    }
}

fn again(incident: &mut Incident, outage: &Outage) {
    describe(incident, outage);
    incident.closed_at = None;
    incident.last_opened_at = outage.opened_at;
    incident.last_closed_at = None;
    incident.is_down = outage.is_down;
    recur(incident);
    incident.last_closed_at = outage.closed_at;
}

/// Counts it once more. The second time is told; of what flaps on, the end is told next.
fn recur(incident: &mut Incident) {
    incident.must_be_stored = true;
    incident.times += 1;
    if incident.times == 2 {
        incident.tell(begins(incident), round(incident));
    }
}

/// Tells the end of an outage that is over: at once the first time, then after the window.
fn settle(incident: &mut Incident, at: Timestamp, window: SignedDuration) {
    let Some(last_closed_at) = incident.last_closed_at.filter(|_| incident.is_open()) else {
        return;
    };
    if incident.times == 1 || at.duration_since(last_closed_at) >= window {
        incident.close(last_closed_at, Event::Up, round(incident));
    }
}

/// 1 for what happens once, 2 for what flaps.
fn round(incident: &Incident) -> i32 {
    incident.times.min(2)
}

fn describe(incident: &mut Incident, outage: &Outage) {
    incident.outcome = Some(outage.outcome.clone());
    incident.error.clone_from(&outage.error);
}
