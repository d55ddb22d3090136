//! The verdict on a site: confirmed by several checks, agreed between locations, and the same in
//! whatever order the checks arrive.

mod migration;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sitewatch::event::{CheckEvent, Outcome};

use crate::dice::Dice;
use crate::support::{Prepared, down, lines, now, up};
use reference::{Agree, Check, Rule, Stretch, Verdict, seen_from, stretches};

const MINUTE: i64 = 60_000_000;

/// A site with its checks, oldest first.
#[derive(Clone, Debug)]
struct Story {
    site: String,
    locations: usize,
    interval_s: Option<i64>,
    settings: String,
    rule: Rule,
    checks: Vec<Check>,
}

fn rule(dice: &mut Dice) -> (Rule, Option<i64>, String) {
    let (confirm, failures, checks) = *dice.choose(&[
        ("1", 1, 1),
        ("\"1\"", 1, 1),
        ("2", 2, 2),
        ("3", 3, 3),
        ("\"2/3\"", 2, 3),
        ("\"3/5\"", 3, 5),
    ]);
    let recover = dice.between(1, 4) as usize;
    let (word, agree) = *dice.choose(&[
        ("any", Agree::Any),
        ("majority", Agree::Majority),
        ("all", Agree::All),
        ("2", Agree::Number(2)),
    ]);
    // Ten minutes at least, or three intervals.
    let (interval_s, limit) = *dice.choose(&[
        (None, 10 * MINUTE),
        (Some(60), 10 * MINUTE),
        (Some(300), 15 * MINUTE),
        (Some(2_400), 120 * MINUTE),
    ]);
    let rule = Rule {
        failures,
        checks,
        recover,
        agree,
        limit,
    };
    let settings = format!(r#"{{"confirm": {confirm}, "recover": {recover}, "agree": "{word}"}}"#);
    (rule, interval_s, settings)
}

/// Checks over so many hours until a while ago, on whole half minutes: some of different locations
/// are of the same instant, and some as far from the one before as a location reports.
fn story(dice: &mut Dice, number: usize, hours: u64) -> Story {
    let (rule, interval_s, settings) = rule(dice);
    let locations = dice.between(1, 5) as usize;
    let end = now().as_microsecond() / MINUTE * MINUTE;
    let mut checks = BTreeSet::new();
    for location in 0..locations {
        let mut ago = dice.between(0, 60) as i64;
        let mut up = Some(true);
        let pace = *dice.choose(&[2, 10, 40, 160]);
        while ago < hours as i64 * 120 {
            if dice.one_in(6) {
                up = *dice.choose(&[Some(true), Some(true), Some(false), Some(false), None]);
            }
            checks.insert(Check {
                at: end - ago * MINUTE / 2,
                location,
                up,
                maintenance: dice.one_in(15),
            });
            ago += match dice.between(0, 30) {
                0 => dice.between(200, 700) as i64,
                1..6 => 20,
                _ => dice.between(1, pace) as i64,
            };
        }
    }
    Story {
        site: format!("site-{number}"),
        locations,
        interval_s,
        settings,
        rule,
        checks: checks.into_iter().collect(),
    }
}

fn event(site: &str, check: &Check) -> CheckEvent<'static> {
    CheckEvent {
        location: format!("location-{}", check.location).into(),
        checked_at: Timestamp::from_microsecond(check.at).unwrap(),
        maintenance: check.maintenance,
        up: check.up,
        outcome: match check.up {
            Some(true) => Outcome::Up,
            Some(false) => Outcome::Status,
            None => Outcome::Local,
        },
        // Tells which failure it was.
        error: (check.up == Some(false)).then(|| check.at.to_string().into()),
        ..match check.up {
            Some(false) => down(site, 0),
            _ => up(site, 0),
        }
    }
}

fn known(stories: &[Story], prefix: &str) -> Prepared {
    let prepared = Prepared::new(prefix);
    let mut client = prepared.client();
    for story in stories {
        let interval = story
            .interval_s
            .map_or_else(|| "null".to_owned(), |s| s.to_string());
        client
            .batch_execute(&format!(
                "insert into websites (name, url, check_interval, settings)
                 values ('{}', 'https://example.org/', {interval}, '{}')",
                story.site, story.settings
            ))
            .unwrap();
    }
    prepared
}

fn record(prepared: &Prepared, events: &[CheckEvent<'_>]) {
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .var("DRAIN_BATCH_SIZE", "500")
        .stdin(lines(events))
        .run()
        .exits(0);
}

fn maintain(prepared: &Prepared) {
    prepared
        .maintain()
        .timeout(Duration::from_secs(300))
        .run()
        .exits(0);
}

fn shuffled<T>(mut things: Vec<T>, dice: &mut Dice) -> Vec<T> {
    for at in (1..things.len()).rev() {
        things.swap(at, dice.between(0, at as u64 + 1) as usize);
    }
    things
}

/// Microseconds since 1970, or none.
fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_microsecond)
}

/// Incidents of each site, as stretches whose verdict is down.
fn incidents(prepared: &Prepared) -> BTreeMap<String, Vec<(Stretch, Option<String>)>> {
    let mut found: BTreeMap<String, Vec<(Stretch, Option<String>)>> = BTreeMap::new();
    for row in prepared
        .client()
        .query(
            "select websites.name, opened_at, closed_at, first_failed_at, last_failed_at, checks, error,
                 array(select name from locations where id = any (incidents.locations))
             from find_incidents('-infinity') as incidents
             join websites on websites.id = website_id
             order by opened_at",
            &[],
        )
        .unwrap()
    {
        let locations: Vec<String> = row.get(7);
        let stretch = Stretch {
            verdict: Verdict::Down,
            since: row.get::<_, Timestamp>(1).as_microsecond(),
            until: micros(row.get(2)),
            first_failed: micros(row.get(3)),
            last_failed: micros(row.get(4)),
            failures: row.get(5),
            locations: locations
                .iter()
                .map(|name| name.trim_start_matches("location-").parse().unwrap())
                .collect(),
        };
        found
            .entry(row.get(0))
            .or_default()
            .push((stretch, row.get(6)));
    }
    found
}

/// What a location sees and since when, and the verdict and since when.
type Now = (Option<bool>, i64, String, i64);

/// Compares incidents, verdicts and what each location sees with the reference.
#[track_caller]
fn agrees(prepared: &Prepared, stories: &[Story], when: &str) {
    let found = incidents(prepared);
    let mut current: BTreeMap<(String, usize), Now> = BTreeMap::new();
    for row in prepared
        .client()
        .query(
            "select websites.name, locations.name, location_up, location_since, verdict, verdict_since
             from current_verdicts()
             join websites on websites.id = website_id
             join locations on locations.id = location_id",
            &[],
        )
        .unwrap()
    {
        let location: String = row.get(1);
        current.insert(
            (
                row.get(0),
                location.trim_start_matches("location-").parse().unwrap(),
            ),
            (
                row.get(2),
                row.get::<_, Timestamp>(3).as_microsecond(),
                row.get(4),
                row.get::<_, Timestamp>(5).as_microsecond(),
            ),
        );
    }
    for story in stories {
        let about = format!("{when}: {} with {:?}", story.site, story.rule);
        let expected = stretches(&story.checks, story.locations, &story.rule);
        let incidents: Vec<(Stretch, Option<String>)> = expected
            .iter()
            .filter(|stretch| stretch.verdict == Verdict::Down)
            .map(|stretch| {
                let error = stretch.first_failed.map(|at| at.to_string());
                (stretch.clone(), error)
            })
            .collect();
        assert_eq!(
            found.get(&story.site).cloned().unwrap_or_default(),
            incidents,
            "{about}"
        );
        for location in 0..story.locations {
            let seen = seen_from(location, &story.checks, &story.rule);
            let state = seen.last().zip(expected.last()).map(|(seen, verdict)| {
                (
                    seen.up,
                    seen.since,
                    verdict.verdict.word().to_owned(),
                    verdict.since,
                )
            });
            assert_eq!(
                current.get(&(story.site.clone(), location)),
                state.as_ref(),
                "{about}: location {location}"
            );
        }
    }
}

/// Compares every stretch that is stored with the reference, once all hours are rolled up.
#[track_caller]
fn stretches_agree(prepared: &Prepared, stories: &[Story], when: &str) {
    // Of when the checks were made: the hour may have turned since.
    let this_hour = now().as_microsecond() / (60 * MINUTE) * 60 * MINUTE;
    let mut found: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for row in prepared
        .client()
        .query(
            "select name, started_at, verdict from verdicts_hourly join websites on id = website_id
             where turned and started_at < $1 order by started_at",
            &[&Timestamp::from_microsecond(this_hour).unwrap()],
        )
        .unwrap()
    {
        let since: Timestamp = row.get(1);
        found
            .entry(row.get(0))
            .or_default()
            .push((since.as_microsecond(), row.get(2)));
    }
    for story in stories {
        let expected: Vec<(i64, String)> = stretches(&story.checks, story.locations, &story.rule)
            .iter()
            .enumerate()
            // Of what is up from its first check on, nothing is stored.
            .filter(|(number, stretch)| *number > 0 || stretch.verdict != Verdict::Up)
            .map(|(_, stretch)| (stretch.since, stretch.verdict.word().to_owned()))
            .filter(|(since, _)| *since < this_hour)
            .collect();
        assert_eq!(
            found.get(&story.site).cloned().unwrap_or_default(),
            expected,
            "{when}: {story:?}"
        );
    }
}

/// What is stored of verdicts, as text.
fn stored(prepared: &Prepared) -> Vec<String> {
    [
        (
            "verdicts_hourly",
            "hour, name, started_at, verdict, turned, failures, first_failed_at, last_failed_at, outcome, error,
                 array(select locations.name from locations where locations.id = any (t.locations) order by 1)",
            "websites.id = website_id",
        ),
        (
            "location_states_hourly",
            "hour, websites.name, locations.name, up, turned_at, failing_since, failing_outcome, failing_error, results",
            "websites.id = website_id join locations on locations.id = location_id",
        ),
    ]
    .iter()
    .flat_map(|(table, columns, joined)| {
        prepared
            .client()
            .query(
                &format!("select row({columns})::text from {table} as t join websites on {joined} order by 1"),
                &[],
            )
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect::<Vec<String>>()
    })
    .collect()
}

/// All checks of theirs, oldest first.
fn events(stories: &[Story]) -> Vec<CheckEvent<'static>> {
    let mut events: Vec<_> = stories
        .iter()
        .flat_map(|story| story.checks.iter().map(|check| event(&story.site, check)))
        .collect();
    events.sort_by_key(|event| event.checked_at);
    events
}

/// Stories of four days, and all checks of theirs.
fn days(dice: &mut Dice) -> (Vec<Story>, Vec<CheckEvent<'static>>) {
    let stories: Vec<Story> = (0..25).map(|number| story(dice, number, 100)).collect();
    let events = events(&stories);
    (stories, events)
}

#[test]
fn verdicts_are_what_the_checks_say_in_whatever_order_they_arrive() {
    let mut dice = Dice::new("verdicts");
    // All of it among the hours that reports read before they are rolled up.
    let stories: Vec<Story> = (0..40).map(|number| story(&mut dice, number, 20)).collect();
    let in_time = known(&stories, "verdicts");
    let all = events(&stories);
    record(&in_time, &all);
    agrees(&in_time, &stories, "in time, not rolled up");
    maintain(&in_time);
    agrees(&in_time, &stories, "in time");
    stretches_agree(&in_time, &stories, "in time");

    let late = known(&stories, "verdicts");
    let all = shuffled(all, &mut dice);
    let (some, rest) = all.split_at(all.len() * 3 / 4);
    let parts = some
        .chunks(some.len() / 2)
        .chain(rest.chunks(rest.len() / 6));
    for part in parts {
        record(&late, part);
        if dice.one_in(2) {
            maintain(&late);
        }
    }
    agrees(&late, &stories, "late, not all rolled up");
    maintain(&late);
    agrees(&late, &stories, "late");
    stretches_agree(&late, &stories, "late");
    let (late, in_time) = (stored(&late), stored(&in_time));
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        let lacking = one.iter().filter(|row| !other.contains(row));
        lacking.cloned().collect()
    };
    assert_eq!(
        (only(&late, &in_time), only(&in_time, &late)),
        (Vec::new(), Vec::new())
    );
}

#[test]
fn what_is_known_for_less_than_an_hour_is_up_since_its_first_check() {
    let mut dice = Dice::new("young");
    let stories: Vec<Story> = (0..150).map(|number| story(&mut dice, number, 1)).collect();
    let prepared = known(&stories, "verdicts");
    record(&prepared, &events(&stories));
    agrees(&prepared, &stories, "young, not rolled up");
    maintain(&prepared);
    agrees(&prepared, &stories, "young");
}

#[test]
fn a_check_that_is_days_late_changes_what_followed() {
    let mut dice = Dice::new("days-late");
    let (stories, all) = days(&mut dice);
    let prepared = known(&stories, "verdicts");
    let (late, in_time): (Vec<_>, Vec<_>) = all.into_iter().partition(|_| dice.one_in(40));
    record(&prepared, &in_time);
    maintain(&prepared);
    let late = shuffled(late, &mut dice);
    for some in late.chunks(late.len() / 4 + 1) {
        record(&prepared, some);
        maintain(&prepared);
    }
    agrees(&prepared, &stories, "days late");
    stretches_agree(&prepared, &stories, "days late");
}

#[test]
fn verdicts_outlive_the_checks_that_they_come_from() {
    let mut dice = Dice::new("outlive");
    let (stories, all) = days(&mut dice);
    let prepared = known(&stories, "verdicts");
    // Late ones of hours that reports read before they are rolled up.
    let kept = now() - SignedDuration::from_hours(24);
    let (late, in_time): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|event| event.checked_at > kept && dice.one_in(10));
    record(&prepared, &in_time);
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "2d")
        .timeout(Duration::from_secs(300))
        .run()
        .exits(0)
        .stderr_has("days of checks dropped");
    record(&prepared, &late);
    agrees(&prepared, &stories, "dropped, not rolled up");
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "2d")
        .run()
        .exits(0);
    agrees(&prepared, &stories, "dropped");
}
