//! The sums that `maintain` keeps change nothing but how long a report takes.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sitewatch::event::CheckEvent;
use sitewatch_tests::postgres::Postgres;

use crate::support::{Prepared, down, now, record, same_lines, up};

/// A check of each site and location on most of 100 days, then one every 40 minutes: with a schedule,
/// some down, some slow. The newest are of two minutes ago, so that what is covered ends there.
fn history() -> Vec<CheckEvent<'static>> {
    let newest = 120;
    let days = (2..100).map(|day| day * 86_400 + (day * 5_000) % 80_000);
    let minutes = (0..75).map(|step| newest + step * 2_400);
    let mut events = Vec::new();
    for (number, ago) in days.chain(minutes).enumerate() {
        for (site, location, every) in [
            ("shop", "north", 1),
            ("shop", "south", 1),
            ("blog", "north", 3),
        ] {
            // A day without any, and a location that is silent for long.
            if number % 11 == 7 || (location == "south" && (20..60).contains(&number)) {
                continue;
            }
            let event = if number % (6 + every) == 0 {
                down(site, ago)
            } else {
                up(site, ago)
            };
            events.push(CheckEvent {
                location: location.into(),
                scheduled_at: Some(event.checked_at),
                interval_ms: Some(1_800_000),
                total_us: 50_000 + 7_000 * u32::try_from(number % 13).unwrap(),
                ..event
            });
        }
    }
    events
}

/// A server whose clock stands still, so that a report can be asked for twice at the same time.
pub(super) struct Standing(pub(super) Postgres);

impl Standing {
    pub(super) fn start() -> Self {
        let standing = Self(Postgres::options().own_clock().start());
        standing.set(now());
        standing
    }

    pub(super) fn set(&self, time: Timestamp) {
        let local = time.to_zoned(TimeZone::system());
        self.0
            .set_clock(&local.strftime("%Y-%m-%d %H:%M:%S").to_string());
    }
}

/// A database with that history, rolled up.
fn set_up(standing: &Standing) -> Prepared {
    let prepared = Prepared::on(&standing.0, "trailing");
    record(&prepared, &history());
    prepared.maintain().run().exits(0);
    assert_eq!(kept(&prepared), [true, true]);
    prepared
}

/// Whether sums of days and of hours are kept.
fn kept(prepared: &Prepared) -> [bool; 2] {
    let row = prepared
        .client()
        .query_one(
            "select day is not null, hour is not null from trailing_ends",
            &[],
        )
        .unwrap();
    [row.get(0), row.get(1)]
}

/// All that is told of sites.
fn told(prepared: &Prepared) -> String {
    ["json", "csv", "html", "prometheus"]
        .into_iter()
        .map(|format| {
            let run = prepared
                .report()
                .var("REPORT_FORMAT", format)
                .var("REPORT_STALE_AFTER", "30d");
            run.run().exits(0).stdout
        })
        .collect()
}

/// Reports from the sums and from the rollups alone: they are the same.
#[track_caller]
fn same(prepared: &Prepared, when: &str) -> String {
    let mut client = prepared.client();
    let with_sums = told(prepared);
    client
        .batch_execute(
            "create table kept as select * from trailing_ends;
             update trailing_ends set day = null, hour = null",
        )
        .unwrap();
    let without = told(prepared);
    client
        .batch_execute(
            "update trailing_ends set (day, hour) = (select day, hour from kept);
             drop table kept",
        )
        .unwrap();
    same_lines(&with_sums, &without, when);
    with_sums
}

#[test]
fn a_report_from_sums_is_the_one_from_rollups_whenever_it_is_asked_for() {
    let standing = Standing::start();
    let prepared = set_up(&standing);
    let at_first = same(&prepared, "at once");
    let change = |by: &str| {
        let statement = format!(
            "update trailing_days set up_7d = up_7d {by}; update trailing_hours set up_24h = up_24h {by}"
        );
        prepared.client().batch_execute(&statement).unwrap();
    };
    change("+ 1000");
    assert_ne!(told(&prepared), at_first, "they are not read");
    change("- 1000");
    // Until `maintain` runs again; and what a clock that was ahead has left.
    for hours in [1, 5, 13, 24, 26, 6 * 24, 40 * 24, 400 * 24, -20] {
        standing.set(now() + SignedDuration::from_hours(hours));
        assert_ne!(same(&prepared, &format!("{hours} hours later")), at_first);
    }
}

#[test]
fn late_checks_are_in_no_report_twice_and_in_none_not_at_all() {
    let standing = Standing::start();
    let prepared = set_up(&standing);
    let before = same(&prepared, "before");
    let late = |hours: i64| CheckEvent {
        location: "north".into(),
        total_us: 900_000,
        ..down("shop", hours * 3_600)
    };
    record(
        &prepared,
        &[late(3), late(15), late(22), late(24 * 9), late(24 * 89)],
    );
    let recorded = same(&prepared, "recorded");
    assert_ne!(recorded, before);
    // Still the same hour: sums are made again because it is known that they do not hold.
    prepared.maintain().run().exits(0);
    assert_eq!(kept(&prepared), [true, true]);
    let rolled_up = same(&prepared, "rolled up");
    assert_ne!(rolled_up, before);
    // Days that wait although their hours do not: a `maintain` that was ended in between.
    prepared
        .client()
        .batch_execute(
            "insert into dirty_days select current_date - ago from generate_series(1, 9, 4) as ago",
        )
        .unwrap();
    same(&prepared, "days wait");
}

#[test]
fn a_check_of_25_hours_ago_that_is_not_rolled_up_is_in_no_response_time_of_a_day() {
    let standing = Standing::start();
    let prepared = set_up(&standing);
    let slowest = || -> Vec<i64> {
        let told = prepared
            .report()
            .var("REPORT_FORMAT", "json")
            .run()
            .exits(0);
        let lines = told.stdout.lines();
        lines
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["p99_us"].as_i64().unwrap())
            .collect()
    };
    let before = slowest();
    let slow = |hours: i64| CheckEvent {
        location: "north".into(),
        total_us: 90_000_000,
        ..up("shop", hours * 3_600)
    };
    record(&prepared, &[slow(25)]);
    assert_eq!(slowest(), before);
    record(&prepared, &[slow(23)]);
    assert_ne!(slowest(), before);
}

#[test]
fn what_takes_from_the_rollups_says_that_sums_do_not_hold() {
    let standing = Standing::start();
    let prepared = set_up(&standing);
    record(&prepared, &[down("gone", 24 * 3_600 * 40)]);
    prepared
        .client()
        .batch_execute("update websites set origin = 'event', created_at = now() - interval '500 days' where name = 'gone'")
        .unwrap();
    prepared.maintain().run().exits(0);
    let of_gone = "select count(*) from trailing_days
        where website_id not in (select website_id from website_states where checked_at > now() - interval '5 days')";
    assert_eq!(prepared.count(of_gone), 1);
    for (what, statement) in [
        (
            "names",
            "select drop_check_partition(day, 30) from check_partitions
                 where day < current_date - 35 order by day;
             select forget_names(35, 10)",
        ),
        ("partitions", "select drop_rollup_partitions(1, 1)"),
    ] {
        prepared.client().batch_execute(statement).unwrap();
        assert_eq!(kept(&prepared), [false, false], "{what}");
        same(&prepared, what);
        prepared.maintain().run().exits(0);
        assert_eq!(kept(&prepared), [true, true], "{what}");
        same(&prepared, what);
    }
    assert_eq!(prepared.count(of_gone), 0);
}
