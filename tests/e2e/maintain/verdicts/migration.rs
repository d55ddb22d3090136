//! A database of the release before verdicts: its checks stay, and its incidents, which were a
//! location's each, become the sites'.

use std::collections::BTreeSet;

use jiff::Timestamp;
use postgres::Client;
use refinery::{Runner, Target, load_sql_migrations};
use sitewatch_tests::command::Run;
use sitewatch_tests::shared;

use crate::dice::Dice;
use crate::documents::root;

/// The newest migration before verdicts.
const BEFORE: i32 = 17;

const SITES: u64 = 12;
const LOCATIONS: u64 = 3;
const HOURS: u64 = 50;

/// An incident of either release: `locations` has one before.
#[derive(Clone, Debug, PartialEq)]
struct Incident {
    website: i32,
    locations: BTreeSet<i16>,
    opened_at: Timestamp,
    closed_at: Option<Timestamp>,
    last_failed_at: Timestamp,
    checks: i64,
    error: String,
}

fn found(client: &mut Client, locations: &str, last_failed_at: &str) -> Vec<Incident> {
    client
        .query(
            &format!(
                "select website_id, {locations}, opened_at, closed_at, {last_failed_at}, checks, error
                 from find_incidents('-infinity') order by website_id, opened_at, 2"
            ),
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| Incident {
            website: row.get(0),
            locations: row.get::<_, Vec<i16>>(1).into_iter().collect(),
            opened_at: row.get(2),
            closed_at: row.get(3),
            last_failed_at: row.get(4),
            checks: row.get(5),
            error: row.get(6),
        })
        .collect()
}

/// Those of a site that overlap or meet are one.
fn merged(before: Vec<Incident>) -> Vec<Incident> {
    let mut merged: Vec<Incident> = Vec::new();
    for incident in before {
        match merged.last_mut() {
            Some(last)
                if last.website == incident.website
                    && last
                        .closed_at
                        .is_none_or(|closed| incident.opened_at <= closed) =>
            {
                last.locations.extend(incident.locations);
                last.closed_at = last
                    .closed_at
                    .zip(incident.closed_at)
                    .map(|(one, other)| one.max(other));
                last.last_failed_at = last.last_failed_at.max(incident.last_failed_at);
                last.checks += incident.checks;
            }
            _ => merged.push(incident),
        }
    }
    merged
}

/// Checks of all sites once a minute, in turn from each location, and what that release's `drain` and
/// `maintain` make of them: everything rolled up but the running hour.
fn fill(client: &mut Client, dice: &mut Dice) {
    client
        .batch_execute(&format!(
            "insert into websites (name, url) select 'site-' || n, 'https://example.org/' from generate_series(1, {SITES}) as n;
             insert into locations (name) select 'location-' || n from generate_series(1, {LOCATIONS}) as n;
             select create_check_partitions((now() - interval '{HOURS} hours')::date - 1, now()::date + 1);
             select create_rollup_partitions((now() - interval '{HOURS} hours')::date - 1, now()::date + 1)"
        ))
        .unwrap();
    for site in 1..=SITES as i32 {
        for location in 1..=LOCATIONS as i16 {
            let mut up = true;
            let ups: Vec<bool> = (0..HOURS * 20)
                .map(|_| {
                    if dice.one_in(if up { 60 } else { 10 }) {
                        up = !up;
                    }
                    up
                })
                .collect();
            client
                .execute(
                    "insert into checks (checked_at, website_id, location_id, total_us, outcome, up, redirects,
                         attempts, maintenance, error)
                     select checked_at, $1, $2, 1000, case when up then 0 else 1 end, up, 0, 1, false,
                         case when not up then 'location ' || $2::smallint || ' at ' || checked_at end
                     from (
                         select now() - ($4::integer - number) * interval '3 minutes' - $2::smallint * interval '1 minute' as checked_at, up
                         from unnest($3::boolean[]) with ordinality as made (up, number)
                     ) as made",
                    &[&site, &location, &ups, &(ups.len() as i32)],
                )
                .unwrap();
        }
    }
    client
        .batch_execute(
            "insert into website_states (website_id, location_id, checked_at, first_known_at, outcome, up, last_up_at, last_down_at)
             select website_id, location_id, max(checked_at), min(checked_at),
                 (array_agg(outcome order by checked_at desc))[1], (array_agg(up order by checked_at desc))[1],
                 max(checked_at) filter (where up), max(checked_at) filter (where not up)
             from checks group by website_id, location_id;
             insert into dirty_hours (hour) values (date_trunc('hour', now(), 'UTC'));
             insert into checks_hourly (hour, website_id, location_id, checks, up, down, unknown, maintenance, outcomes,
                 first_at, last_at, first_known_at)
             select date_trunc('hour', checked_at, 'UTC'), website_id, location_id, count(*), count(*) filter (where up),
                 count(*) filter (where not up), 0, 0, '{}', min(checked_at), max(checked_at), min(checked_at)
             from checks where checked_at < date_trunc('hour', now(), 'UTC') group by 1, 2, 3;
             insert into outages_hourly (hour, started_at, last_down_at, ended_at, website_id, checks, location_id,
                 outcome, follows_up, error)
             select hour, started_at, last_down_at, ended_at, website_id, checks, location_id, outcome, follows_up, error
             from find_outages(array(select distinct hour from checks_hourly order by hour))",
        )
        .unwrap();
}

#[test]
fn no_check_and_no_incident_of_the_release_before_is_lost() {
    let database = shared::postgres().create_database("before_verdicts");
    let mut client = database.client();
    let migrations = load_sql_migrations(root().join("migrations")).unwrap();
    Runner::new(&migrations)
        .set_target(Target::Version(BEFORE))
        .run(&mut client)
        .unwrap();
    fill(&mut client, &mut Dice::new("before-verdicts"));
    let checks = |client: &mut Client| -> Vec<String> {
        let rows = client.query("select (to_jsonb(checks) - array['scheduled_at', 'interval_ms'])::text from checks order by 1", &[]);
        rows.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let checks_before = checks(&mut client);
    let expected = merged(found(&mut client, "array[location_id]", "last_down_at"));
    assert!(
        expected.len() > SITES as usize,
        "too few incidents to tell: {expected:?}"
    );

    Run::setup()
        .var("DATABASE_URL", database.url())
        .var("SETUP_TOPIC", "false")
        .run()
        .exits(0);
    assert_eq!(checks(&mut client), checks_before);
    assert_eq!(found(&mut client, "locations", "last_failed_at"), expected);

    // What follows is derived from what was kept.
    Run::maintain()
        .var("DATABASE_URL", database.url())
        .run()
        .exits(0);
    assert_eq!(found(&mut client, "locations", "last_failed_at"), expected);
}
