//! Several at once, drains among them, killed anywhere.

use std::time::Duration;

use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Signal;
use sitewatch_tests::wait;

use super::{at, hours_ago, minutes, record};
use crate::support::{Prepared, down, up};

/// Everything the rollups hold, as text: two runs that should give the same are compared by it.
fn rollups(prepared: &Prepared) -> Vec<String> {
    [
        "checks_hourly",
        "response_times_hourly",
        "outages_hourly",
        "location_states_hourly",
        "location_states",
        "verdicts_hourly",
        "website_verdicts",
        "checks_daily",
        "response_times_daily",
    ]
    .iter()
    .flat_map(|table| {
        prepared
            .client()
            .query(
                &format!("select '{table} ' || t::text from {table} as t order by 1"),
                &[],
            )
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect::<Vec<String>>()
    })
    .collect()
}

/// Some thousand checks over many hours.
fn many(site: &str, hours: i64) -> Vec<CheckEvent<'static>> {
    let zero = hours_ago(hours);
    (0..hours * 60)
        .map(|minute| {
            let event = if minute % 97 < 5 {
                down(site, 0)
            } else {
                up(site, 0)
            };
            at(event, zero + minutes(minute))
        })
        .collect()
}

#[test]
fn several_at_once_and_drains_among_them_give_what_one_gives() {
    let expected = {
        let prepared = Prepared::new("maintain");
        record(&prepared, &many("a", 30));
        record(&prepared, &many("b", 30));
        prepared.maintain().run().exits(0);
        rollups(&prepared)
    };
    let prepared = Prepared::new("maintain");
    record(&prepared, &many("a", 30));
    let runs: Vec<_> = (0..3).map(|_| prepared.maintain().spawn()).collect();
    record(&prepared, &many("b", 30));
    for run in runs {
        run.wait().exits(0);
    }
    prepared.maintain().run().exits(0);
    assert_eq!(rollups(&prepared), expected);
    assert_eq!(
        prepared.count("select count(*) from dirty_hours")
            + prepared.count(
                "select count(*) from dirty_days where day < (now() at time zone 'UTC')::date"
            ),
        0
    );
}

#[test]
fn killed_anywhere_it_is_taken_up_by_the_next_run() {
    let mut at_work = Vec::new();
    // A machine that is busy may look when a run is over.
    while at_work.last().is_none_or(|kills| *kills < 3) {
        assert!(at_work.len() < 4, "of 5 kills met a run: {at_work:?}");
        at_work.push(kills_at_work());
    }
}

/// Kills a run in each of its stages and lets another finish the work. How many were killed before
/// they had ended.
fn kills_at_work() -> usize {
    const HOURS: i64 = 24 * 5;
    let expected = {
        let other = Prepared::new("maintain");
        record(&other, &many("a", HOURS));
        other.maintain().run().exits(0);
        rollups(&other)
    };
    let prepared = Prepared::new("maintain");
    record(&prepared, &many("a", HOURS));
    let maintain = || prepared.maintain().var("MAINTAIN_KEEP_CHECKS", "1d");
    let mut client = prepared.client();
    let mut count = |query: &str| -> i64 { client.query_one(query, &[]).unwrap().get(0) };
    // What is old is counted from the newest check, which is of yesterday in the first hour of a day.
    let old_days = "select count(*) from check_partitions where day < (
        select max((checked_at at time zone 'UTC')::date) from checks) - 1";
    let days = count(old_days);
    assert!(days >= 3, "{days}");
    let mut at_work = 0;
    // While it begins, among the hours, the days, the drops.
    for (what, least) in [
        ("select 0::int8", 0),
        ("select count(distinct hour) from checks_hourly", 1),
        ("select count(distinct hour) from checks_hourly", HOURS / 2),
        ("select count(distinct day) from checks_daily", 2),
        (&format!("select {days} - ({old_days})"), 1),
    ] {
        let mut run = maintain().spawn();
        wait::until(what, Duration::from_secs(60), || {
            count(what) >= least || run.has_ended()
        });
        run.signal(Signal::KILL);
        at_work += usize::from(run.wait().signal.is_some());
    }
    // A killed run's connection may still hold the lock for a moment.
    wait::until("everything is rolled up", Duration::from_secs(300), || {
        maintain().run().exits(0);
        count("select count(*) from dirty_hours") == 0 && count(old_days) == 0
    });
    assert_eq!(rollups(&prepared), expected);
    at_work
}
