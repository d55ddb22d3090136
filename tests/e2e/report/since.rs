//! The state of a site and since when: what its checks say, in whatever order they arrived.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sitewatch::event::{CheckEvent, Outcome};

use super::history::json;
use crate::dice::Dice;
use crate::support::{Known, Prepared, State, down, lines, now, up};

/// A check of a history.
#[derive(Clone, Copy, Debug)]
struct Check {
    minutes_ago: u64,
    up: Option<bool>,
    maintenance: bool,
}

impl Check {
    fn event(self, site: &str, location: &str) -> CheckEvent<'static> {
        let seconds = i64::try_from(self.minutes_ago * 60).unwrap();
        let event = match self.up {
            Some(false) => down(site, seconds),
            _ => up(site, seconds),
        };
        CheckEvent {
            location: location.to_owned().into(),
            maintenance: self.maintenance,
            up: self.up,
            outcome: match self.up {
                Some(true) => Outcome::Up,
                Some(false) => Outcome::Status,
                None => Outcome::Local,
            },
            ..event
        }
    }

    fn known(self) -> Known {
        let ago = SignedDuration::from_mins(i64::try_from(self.minutes_ago).unwrap());
        Known {
            at: (now() - ago).as_microsecond(),
            up: self.up,
            maintenance: self.maintenance,
        }
    }
}

/// A site's checks from a location, oldest first: now and then of another kind than the one before.
fn history(dice: &mut Dice) -> Vec<Check> {
    let mut minutes_ago = dice.between(1, 400);
    let mut up = Some(true);
    let mut checks: Vec<Check> = (0..dice.between(1, 40))
        .map(|_| {
            minutes_ago += dice.between(1, 90);
            if dice.one_in(3) {
                up = *dice.choose(&[Some(true), Some(true), Some(false), Some(false), None]);
            }
            Check {
                minutes_ago,
                up,
                maintenance: dice.one_in(8),
            }
        })
        .collect();
    checks.reverse();
    checks
}

fn shuffled<T>(mut things: Vec<T>, dice: &mut Dice) -> Vec<T> {
    for at in (1..things.len()).rev() {
        things.swap(at, dice.between(0, at as u64 + 1) as usize);
    }
    things
}

/// What a location sees: what the last check that counts found, unless the newest of all could not tell.
fn seen(checks: &[Known]) -> State {
    let newest = State::of(checks);
    let counting: Vec<Known> = checks
        .iter()
        .filter(|check| check.up.is_some() && !check.maintenance)
        .copied()
        .collect();
    if newest.up.is_none() || counting.is_empty() {
        return newest;
    }
    State {
        checked_at: newest.checked_at,
        ..State::of(&counting)
    }
}

fn micros(value: &Value) -> Option<i64> {
    let time: Timestamp = value.as_str()?.parse().unwrap();
    Some(time.as_microsecond())
}

/// What `report` says of every site and location.
fn reported(prepared: &Prepared) -> BTreeMap<(String, String), State> {
    let shown = prepared
        .report()
        .var("REPORT_FORMAT", "json")
        .var("REPORT_STALE_AFTER", "1000d")
        .run()
        .exits(0);
    json(&shown.stdout)
        .iter()
        .map(|line| {
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            let state = State {
                checked_at: micros(&line["checked_at"]).unwrap(),
                up: match line["state"].as_str().unwrap() {
                    "up" => Some(true),
                    "down" => Some(false),
                    _ => None,
                },
                since: micros(&line["since"]),
            };
            ((text("site"), text("location")), state)
        })
        .collect()
}

#[test]
fn states_are_what_the_checks_say_in_whatever_order_they_arrive() {
    let mut dice = Dice::new("states");
    let prepared = Prepared::new("report");
    let mut expected = BTreeMap::new();
    let mut events = Vec::new();
    for number in 0..200 {
        let site = format!("site-{number}");
        for location in ["default", "fra1", "nyc1"]
            .into_iter()
            .take(dice.between(1, 4) as usize)
        {
            let checks = history(&mut dice);
            let known: Vec<Known> = checks.iter().map(|check| check.known()).collect();
            expected.insert((site.clone(), location.to_owned()), seen(&known));
            for check in checks {
                events.push(check.event(&site, location));
                if dice.one_in(6) {
                    events.push(check.event(&site, location));
                }
            }
        }
    }
    let events = shuffled(events, &mut dice);
    for some in events.chunks(events.len() / 4) {
        prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .var("DRAIN_BATCH_SIZE", "500")
            .stdin(lines(some))
            .run()
            .exits(0);
        if dice.one_in(2) {
            prepared.maintain().run().exits(0);
        }
    }
    // Reports wait for older hours to be rolled up.
    prepared.maintain().run().exits(0);
    let found = reported(&prepared);
    for (key, state) in &expected {
        assert_eq!(found.get(key), Some(state), "{key:?}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn since_outlives_the_checks_that_it_comes_from() {
    let prepared = Prepared::new("report");
    let days = |days: u64| days * 1_440;
    let at = |minutes_ago: u64, up: bool| Check {
        minutes_ago,
        up: Some(up),
        maintenance: false,
    };
    // Every hour for ten days, for a fortnight before the newest.
    let hourly = |from: u64, to: u64, up: bool| (to..from).rev().map(move |h| at(h * 60 + 30, up));
    let histories: [(&str, Vec<Check>); 4] = [
        ("never-down", hourly(240, 0, true).collect()),
        (
            "was-down-for-hours",
            hourly(240, 200, true)
                .chain(hourly(200, 190, false))
                .chain(hourly(190, 0, true))
                .collect(),
        ),
        (
            "was-down-for-minutes",
            hourly(240, 0, true)
                .chain([
                    at(days(9) + 17, false),
                    at(days(9) + 16, false),
                    at(days(9) + 15, true),
                ])
                .collect(),
        ),
        (
            "is-down",
            hourly(240, 150, true)
                .chain(hourly(150, 0, false))
                .collect(),
        ),
    ];
    let events: Vec<CheckEvent<'_>> = histories
        .iter()
        .flat_map(|(site, checks)| checks.iter().map(|check| check.event(site, "default")))
        .collect();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    prepared.maintain().run().exits(0);
    let before = reported(&prepared);
    for (site, mut checks) in histories {
        checks.sort_by_key(|check| std::cmp::Reverse(check.minutes_ago));
        let known: Vec<Known> = checks.iter().map(|check| check.known()).collect();
        let key = (site.to_owned(), "default".to_owned());
        assert_eq!(before[&key], seen(&known), "{site}");
    }
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "2d")
        .run()
        .exits(0)
        .stderr_has("days of checks dropped");
    assert_eq!(reported(&prepared), before);
}
