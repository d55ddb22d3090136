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
    let prepared = Prepared::new("maintain");
    record(&prepared, &many("a", 60));
    let expected = {
        let other = Prepared::new("maintain");
        record(&other, &many("a", 60));
        other.maintain().run().exits(0);
        rollups(&other)
    };
    for milliseconds in [15, 40, 80, 130] {
        let run = prepared.maintain().spawn();
        // Any moment will do: the point is that it does not matter which.
        std::thread::sleep(Duration::from_millis(milliseconds));
        run.signal(Signal::KILL);
        drop(run.wait());
    }
    // A killed run's connection may still hold the lock for a moment.
    wait::until("everything is rolled up", Duration::from_secs(20), || {
        prepared.maintain().run().exits(0);
        prepared.count("select count(*) from dirty_hours") == 0
    });
    prepared.maintain().run().exits(0);
    assert_eq!(rollups(&prepared), expected);
}
