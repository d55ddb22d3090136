//! What becomes of what is seen, run after run.

use std::path::Path;
use std::time::Duration;

use sitewatch::settings::{DatabaseSettings, Environment, Reader};

use super::*;
use crate::read::Outage;

/// Minutes after a time that does not matter.
fn at(minutes: i64) -> Timestamp {
    let zero: Timestamp = "2026-01-31T08:00:00Z".parse().expect("a time");
    zero + SignedDuration::from_mins(minutes)
}

fn telling() -> Telling {
    Telling {
        database: database(),
        since: None,
        remind: None,
        flap_window: SignedDuration::from_mins(10),
        group_over: None,
        group_by: None,
        certificate_days: vec![14, 3],
        stale_after: Duration::from_secs(600),
        give_up: Duration::from_secs(86_400),
        acknowledge: Vec::new(),
        is_dry_run: false,
    }
}

/// Never connected to.
fn database() -> DatabaseSettings {
    let pairs = [(
        "DATABASE_URL".into(),
        "postgres://nobody@nowhere/nothing".into(),
    )];
    let environment = Environment::from_pairs(pairs, Path::new("/nonexistent"));
    sitewatch::settings::database(&mut Reader::new("notify", environment)).expect("an address")
}

fn outage(from: i64, to: Option<i64>) -> Outage {
    Outage {
        website: 1,
        is_down: true,
        opened_at: at(from),
        closed_at: to.map(at),
        last_down_at: at(to.unwrap_or(100_000) - 1),
        outcome: "status".to_owned(),
        error: None,
    }
}

/// A database and its clock.
struct Story {
    telling: Telling,
    stored: Vec<Incident>,
    runs: u32,
}

impl Story {
    /// One whose first run is over.
    fn begun() -> Self {
        Self {
            telling: telling(),
            stored: Vec::new(),
            runs: 1,
        }
    }

    /// What a run tells that sees this, as event and number.
    fn run(&mut self, now: i64, seen: &Seen) -> Vec<(Event, i32)> {
        let rules = Rules {
            now: at(now),
            is_first: self.runs == 0,
            telling: &self.telling,
        };
        self.runs += 1;
        let mut told = Vec::new();
        for mut incident in decide(self.stored.clone(), seen, &rules) {
            told.extend(
                incident
                    .tell
                    .drain(..)
                    .map(|told| (told.event, told.number)),
            );
            incident.must_be_stored = false;
            match incident.id {
                Some(id) => {
                    let place = usize::try_from(id).expect("a place");
                    self.stored[place] = incident;
                }
                None => {
                    incident.id = i64::try_from(self.stored.len()).ok();
                    self.stored.push(incident);
                }
            }
        }
        told
    }

    /// An outage of a site that was degraded, and perhaps down as well.
    fn sees_degraded(
        &mut self,
        now: i64,
        from: i64,
        is_down: bool,
        to: Option<i64>,
    ) -> Vec<(Event, i32)> {
        let outages = vec![Outage {
            is_down,
            ..outage(from, to)
        }];
        self.run(
            now,
            &Seen {
                outages,
                ..Seen::default()
            },
        )
    }

    fn sees(&mut self, now: i64, outages: &[(i64, Option<i64>)]) -> Vec<(Event, i32)> {
        let outages = outages
            .iter()
            .map(|(from, to)| outage(*from, *to))
            .collect();
        self.run(
            now,
            &Seen {
                outages,
                ..Seen::default()
            },
        )
    }
}

#[test]
fn what_is_degraded_is_told_as_that_and_once_more_when_it_is_down() {
    let mut story = Story::begun();
    assert_eq!(
        story.sees_degraded(2, 1, false, None),
        [(Event::Degraded, 1)]
    );
    assert_eq!(story.sees_degraded(3, 1, false, None), []);
    assert_eq!(story.sees_degraded(4, 1, true, None), [(Event::Down, 1)]);
    // Degraded again: not over yet, and nothing new.
    assert_eq!(story.sees_degraded(5, 1, true, None), []);
    assert_eq!(story.sees_degraded(6, 1, true, Some(6)), [(Event::Up, 1)]);

    let mut story = Story::begun();
    assert_eq!(
        story.sees_degraded(2, 1, false, Some(2)),
        [(Event::Degraded, 1), (Event::Up, 1)]
    );
    // The second time within the window flaps, whatever it was the first time.
    assert_eq!(story.sees_degraded(5, 4, true, None), [(Event::Down, 2)]);
}

#[test]
fn down_and_up_are_told_once_each() {
    let mut story = Story::begun();
    assert_eq!(story.sees(1, &[]), []);
    assert_eq!(story.sees(2, &[(1, None)]), [(Event::Down, 1)]);
    assert_eq!(story.sees(3, &[(1, None)]), []);
    assert_eq!(story.sees(6, &[(1, Some(5))]), [(Event::Up, 1)]);
    assert_eq!(story.sees(7, &[(1, Some(5))]), []);
    // Long after, another one.
    assert_eq!(
        story.sees(21, &[(1, Some(5)), (20, None)]),
        [(Event::Down, 1)]
    );
    assert_eq!(story.stored.len(), 2);
}

#[test]
fn what_came_and_went_between_two_runs_is_told() {
    let mut story = Story::begun();
    assert_eq!(
        story.sees(60, &[(1, Some(5)), (30, Some(31))]),
        [
            (Event::Down, 1),
            (Event::Up, 1),
            (Event::Down, 1),
            (Event::Up, 1)
        ]
    );
}

#[test]
fn what_flaps_is_one_incident_with_a_count() {
    let mut story = Story::begun();
    let mut outages = Vec::new();
    let mut told = Vec::new();
    for round in 0..20 {
        let minute = round * 4;
        outages.push((minute, None));
        told.extend(story.sees(minute + 1, &outages));
        outages.pop();
        outages.push((minute, Some(minute + 2)));
        told.extend(story.sees(minute + 3, &outages));
    }
    assert_eq!(told, [(Event::Down, 1), (Event::Up, 1), (Event::Down, 2)]);
    assert_eq!(story.sees(87, &outages), []);
    assert_eq!(story.sees(88, &outages), [(Event::Up, 2)]);
    assert_eq!(story.stored.len(), 1);
    assert_eq!(story.stored[0].times, 20);
    // The same seen at once, by a run that was away.
    let mut late = Story::begun();
    assert_eq!(
        late.sees(100, &outages),
        [
            (Event::Down, 1),
            (Event::Up, 1),
            (Event::Down, 2),
            (Event::Up, 2)
        ]
    );
    // And without a window each is one of its own.
    let mut each = Story::begun();
    each.telling.flap_window = SignedDuration::ZERO;
    assert_eq!(each.sees(100, &outages).len(), 40);
    assert_eq!(each.stored.len(), 20);
}

#[test]
fn checks_that_come_late_mend_what_was_decided() {
    let mut story = Story::begun();
    story.sees(10, &[(8, None)]);
    // It began earlier, and was down once before: history.
    assert_eq!(story.sees(11, &[(1, Some(2)), (6, None)]), []);
    assert_eq!(story.sees(12, &[(6, Some(11))]), [(Event::Up, 1)]);
    // It was not over.
    assert_eq!(story.sees(13, &[(6, None)]), [(Event::Down, 2)]);
    assert_eq!(story.stored.len(), 1);
    // It never was.
    assert_eq!(story.sees(14, &[]), []);
    assert_eq!(story.sees(24, &[]), [(Event::Up, 2)]);
}

#[test]
fn a_first_run_tells_what_goes_on_and_no_history() {
    let mut story = Story::begun();
    story.runs = 0;
    let silence = |website, minutes| Silence {
        website,
        checked_at: at(minutes),
        is_silent: true,
    };
    let seen = Seen {
        outages: vec![
            outage(1, Some(5)),
            Outage {
                website: 2,
                ..outage(1, None)
            },
        ],
        silences: vec![silence(3, -100_000)],
        ..Seen::default()
    };
    assert_eq!(story.run(6, &seen), [(Event::Down, 1)]);
    assert_eq!(story.run(7, &seen), []);
    // What was not told does not swallow what comes soon after.
    assert_eq!(
        story.sees(8, &[(1, Some(5)), (7, None)])[..1],
        [(Event::Down, 1)]
    );

    let mut story = Story::begun();
    story.runs = 0;
    story.telling.since = Some(at(20));
    assert_eq!(story.sees(30, &[(10, None)]), []);
    assert_eq!(story.sees(31, &[(10, Some(30))]), []);
    assert_eq!(story.sees(60, &[(59, None)]), [(Event::Down, 1)]);
}

#[test]
fn reminders_are_limited_and_end_with_an_acknowledgement() {
    let mut story = Story::begun();
    story.telling.remind = Some(SignedDuration::from_mins(60));
    let mut told = Vec::new();
    for minute in 1..1_000 {
        told.extend(story.sees(minute, &[(0, None)]));
    }
    let reminders = told.iter().filter(|(event, _)| *event == Event::Reminder);
    assert_eq!(reminders.count(), 10);

    let mut story = Story::begun();
    story.telling.remind = Some(SignedDuration::from_mins(60));
    story.sees(1, &[(0, None)]);
    assert_eq!(story.sees(61, &[(0, None)]), [(Event::Reminder, 1)]);
    story.stored[0].acknowledged_at = Some(at(62));
    assert_eq!(story.sees(121, &[(0, None)]), [(Event::Acknowledged, 1)]);
    // In maintenance no check finds it down.
    let mut story = Story::begun();
    story.telling.remind = Some(SignedDuration::from_mins(60));
    let mut quiet = outage(0, None);
    quiet.last_down_at = at(30);
    let seen = Seen {
        outages: vec![quiet],
        ..Seen::default()
    };
    assert_eq!(story.run(1, &seen), [(Event::Down, 1)]);
    assert_eq!(story.run(61, &seen), [(Event::Reminder, 1)]);
    assert_eq!(story.run(200, &seen), []);
}

#[test]
fn a_certificate_is_told_at_each_threshold_and_when_it_is_renewed() {
    let mut story = Story::begun();
    let mut days_left = |days: i64| {
        let seen = Seen {
            expiries: vec![Expiry {
                website: 1,
                not_after: at(0) + SignedDuration::from_hours(24 * days),
            }],
            ..Seen::default()
        };
        story.run(0, &seen)
    };
    assert_eq!(days_left(15), []);
    assert_eq!(days_left(14), [(Event::Certificate, 1)]);
    assert_eq!(days_left(13), []);
    assert_eq!(days_left(-1), [(Event::Certificate, 2)]);
    assert_eq!(days_left(90), [(Event::CertificateRenewed, 1)]);
    assert_eq!(days_left(2), [(Event::Certificate, 2)]);
}

#[test]
fn what_is_not_checked_any_more_is_told_and_when_it_is_again() {
    let mut story = Story::begun();
    let mut checked = |minute: i64, now: i64| {
        let silence = Silence {
            website: 1,
            checked_at: at(minute),
            is_silent: now - minute > 10,
        };
        let seen = Seen {
            silences: vec![silence],
            ..Seen::default()
        };
        story.run(now, &seen)
    };
    assert_eq!(checked(0, 5), []);
    assert_eq!(checked(0, 11), [(Event::MonitoringStopped, 1)]);
    assert_eq!(checked(0, 12), []);
    assert_eq!(checked(15, 16), [(Event::Resumed, 1)]);
    assert_eq!(checked(15, 30), [(Event::MonitoringStopped, 1)]);
}
