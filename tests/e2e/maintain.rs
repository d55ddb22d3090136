//! `maintain`: what is added up, what comes late, what goes, and what happens when it is disturbed.

use jiff::{SignedDuration, Timestamp, Unit};
use sitewatch::event::{CheckEvent, Outcome};
use sitewatch_tests::command::Signal;

use crate::support::{Prepared, down, last_line, lines, up};

/// The beginning of an hour, so many hours before the one that is running.
fn hours_ago(hours: i64) -> Timestamp {
    let now = Timestamp::now();
    let this_hour = now
        .round(
            jiff::TimestampRound::new()
                .smallest(Unit::Hour)
                .mode(jiff::RoundMode::Trunc),
        )
        .unwrap();
    this_hour - SignedDuration::from_hours(hours)
}

fn at(event: CheckEvent<'static>, time: Timestamp) -> CheckEvent<'static> {
    CheckEvent {
        checked_at: time,
        ..event
    }
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn record(prepared: &Prepared, events: &[CheckEvent<'_>]) {
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(events))
        .run()
        .exits(0);
}

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

/// Incidents as (site, minutes from `zero` to the opening, minutes to the closing, checks).
fn incidents(prepared: &Prepared, zero: Timestamp) -> Vec<(String, i64, Option<i64>, i64)> {
    prepared
        .client()
        .query(
            "select websites.name,
                (extract(epoch from opened_at - $1) / 60)::int8,
                (extract(epoch from closed_at - $1) / 60)::int8,
                checks
             from find_incidents('-infinity') join websites on websites.id = website_id
             order by 1, 2",
            &[&zero],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

#[test]
fn an_hour_and_a_day_are_counted_and_percentiles_are_within_their_error() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(50);
    let mut taken: Vec<u32> = (0..59)
        .map(|minute| 20_000 + minute * minute * 700)
        .collect();
    let mut events: Vec<CheckEvent<'_>> = (0..59)
        .zip(&taken)
        .map(|(minute, taken)| CheckEvent {
            total_us: *taken,
            ..at(up("shop", 0), zero + minutes(minute))
        })
        .collect();
    // A timeout's time is no response time; what is unknown or in maintenance is not counted.
    events.push(CheckEvent {
        outcome: Outcome::Timeout,
        status: None,
        total_us: 10_000_000,
        ..at(down("shop", 0), zero + SignedDuration::from_secs(30))
    });
    events.push(CheckEvent {
        up: None,
        outcome: Outcome::Local,
        status: None,
        ..at(up("shop", 0), zero + SignedDuration::from_secs(31))
    });
    events.push(CheckEvent {
        maintenance: true,
        ..at(down("shop", 0), zero + SignedDuration::from_secs(32))
    });
    record(&prepared, &events);
    let said = last_line(&prepared.maintain().run().exits(0).stderr);
    assert!(
        said.starts_with("1 hour rolled up, 1 day rolled up"),
        "{said}"
    );

    for table in ["checks_hourly", "checks_daily"] {
        let row = prepared
            .client()
            .query_one(
                &format!(
                    "select checks, up, down, unknown, maintenance, histogram_count(outcomes),
                        first_at, last_at
                     from {table}"
                ),
                &[],
            )
            .unwrap();
        let counts: Vec<i32> = (0..5).map(|column| row.get(column)).collect();
        assert_eq!(counts, [62, 59, 1, 1, 1], "{table}");
        assert_eq!(row.get::<_, i64>(5), 61, "{table}");
        assert_eq!(row.get::<_, Timestamp>(6), zero, "{table}");
        assert_eq!(row.get::<_, Timestamp>(7), zero + minutes(58), "{table}");
    }
    taken.sort_unstable();
    for table in ["response_times_hourly", "response_times_daily"] {
        for (fraction, exact) in [(0.5, taken[29]), (0.95, taken[56]), (0.99, taken[58])] {
            let found: f64 = prepared
                .client()
                .query_one(
                    &format!("select histogram_percentile(total, $1) from {table}"),
                    &[&fraction],
                )
                .unwrap()
                .get(0);
            let off = (found / f64::from(exact) - 1.0).abs();
            assert!(
                off <= 0.0217,
                "{table} p{fraction}: {found} for {exact}, {off}"
            );
        }
        assert_eq!(
            prepared.count(&format!(
                "select histogram_count(total) + 1000 * histogram_count(tls) from {table}"
            )),
            59_059
        );
    }
    assert_eq!(
        last_line(&prepared.maintain().run().exits(0).stderr),
        "nothing to do"
    );
}

#[test]
fn a_late_check_ends_up_in_its_own_hour_and_day() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(72);
    record(&prepared, &[at(up("shop", 0), zero)]);
    prepared.maintain().run().exits(0);
    record(
        &prepared,
        &[
            at(down("shop", 0), zero + minutes(5)),
            at(up("new", 0), zero + minutes(6)),
        ],
    );
    prepared.maintain().run().exits(0);
    for table in ["checks_hourly", "checks_daily"] {
        assert_eq!(
            prepared.count(&format!("select sum(up * 10 + down) from {table}")),
            21,
            "{table}"
        );
    }
}

#[test]
fn incidents_are_whole_whatever_the_order_in_which_their_checks_arrive() {
    let zero = hours_ago(30);
    // Down from minute 50 over two ends of hours, up at 180; down again, still so.
    let mut events: Vec<CheckEvent<'_>> = (0..20)
        .map(|step| {
            let minute = step * 10;
            let event = if (5..18).contains(&step) || step == 19 {
                down("shop", 0)
            } else {
                up("shop", 0)
            };
            at(event, zero + minutes(minute))
        })
        .collect();
    events.push(at(down("blog", 0), zero + minutes(59)));
    // An hour without any check lies between.
    events.push(at(up("blog", 0), zero + minutes(125)));
    let expected = [
        ("blog".to_owned(), 59, Some(125), 1),
        ("shop".to_owned(), 50, Some(180), 13),
        ("shop".to_owned(), 190, None, 1),
    ];
    let orders: [fn(&mut Vec<CheckEvent<'_>>); 3] = [
        |_| {},
        |events| events.reverse(),
        |events| events.rotate_left(9),
    ];
    for order in orders {
        let prepared = Prepared::new("maintain");
        order(&mut events);
        for some in events.chunks(5) {
            record(&prepared, some);
            prepared.maintain().run().exits(0);
        }
        assert_eq!(incidents(&prepared, zero), expected);
    }

    // A check that found it up in between, hours late, makes two of one.
    let prepared = Prepared::new("maintain");
    record(&prepared, &events);
    prepared.maintain().run().exits(0);
    record(&prepared, &[at(up("shop", 0), zero + minutes(95))]);
    prepared.maintain().run().exits(0);
    assert_eq!(
        incidents(&prepared, zero)[1..],
        [
            ("shop".to_owned(), 50, Some(95), 5),
            ("shop".to_owned(), 100, Some(180), 8),
            ("shop".to_owned(), 190, None, 1),
        ]
    );
}

#[test]
fn incidents_of_the_running_hour_are_known_before_it_is_rolled_up() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(1);
    record(
        &prepared,
        &[
            at(up("shop", 0), zero),
            at(down("shop", 0), zero + minutes(10)),
        ],
    );
    prepared.maintain().run().exits(0);
    let now = Timestamp::now();
    record(&prepared, &[at(up("shop", 0), now)]);
    let found = incidents(&prepared, zero);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].1, found[0].3), (10, 1));
    assert!(found[0].2.is_some(), "{found:?}");
}

#[test]
fn old_days_are_dropped_whole_their_rollups_stay_and_later_checks_do_not_spoil_them() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(24 * 10);
    let events: Vec<CheckEvent<'_>> = (0..60)
        .map(|minute| at(up("shop", 0), zero + minutes(minute)))
        .collect();
    record(&prepared, &events);
    let keep = || prepared.maintain().var("MAINTAIN_KEEP_CHECKS", "5d");
    let said = last_line(&keep().run().exits(0).stderr);
    assert!(said.contains("1 day of checks dropped"), "{said}");
    assert_eq!(prepared.count("select count(*) from checks"), 0);
    assert_eq!(prepared.count("select sum(up)::int8 from checks_daily"), 60);

    record(&prepared, &[at(down("shop", 0), zero + minutes(3))]);
    keep()
        .run()
        .exits(0)
        .stderr_has("came after their day was dropped");
    assert_eq!(prepared.count("select count(*) from checks"), 0);
    assert_eq!(
        prepared.count("select sum(up + 100 * down)::int8 from checks_daily"),
        60
    );
}

#[test]
fn months_of_hourly_figures_go_when_they_are_old() {
    let prepared = Prepared::new("maintain");
    record(&prepared, &[at(up("shop", 0), hours_ago(24 * 70))]);
    prepared.maintain().run().exits(0);
    assert_eq!(prepared.count("select count(*) from checks_hourly"), 1);
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "7d")
        .var("MAINTAIN_KEEP_HOURLY", "30d")
        .run()
        .exits(0);
    assert_eq!(prepared.count("select count(*) from checks_hourly"), 0);
    assert_eq!(prepared.count("select count(*) from checks_daily"), 1);
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
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        run.signal(Signal::KILL);
        drop(run.wait());
    }
    // A killed run's connection may still hold the lock for a moment.
    sitewatch_tests::wait::until(
        "everything is rolled up",
        std::time::Duration::from_secs(20),
        || {
            prepared.maintain().run().exits(0);
            prepared.count("select count(*) from dirty_hours") == 0
        },
    );
    prepared.maintain().run().exits(0);
    assert_eq!(rollups(&prepared), expected);
}

#[test]
fn a_drop_waits_for_nobody_long() {
    let prepared = Prepared::new("maintain");
    record(&prepared, &[at(up("shop", 0), hours_ago(24 * 10))]);
    let mut reader = prepared.client();
    let mut transaction = reader.transaction().unwrap();
    transaction.query("select from checks", &[]).unwrap();
    let run = prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "5d")
        .spawn();
    // A drain goes on meanwhile.
    record(&prepared, &[up("shop", 10)]);
    run.wait().exits(75).stderr_has("because it is in use");
    drop(transaction);
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "5d")
        .run()
        .exits(0)
        .stderr_has("1 day of checks dropped");
}

#[test]
fn what_is_made_from_something_is_kept_no_shorter() {
    sitewatch_tests::command::Run::maintain()
        .var("DATABASE_URL", "postgres://nobody@localhost/none")
        .var("MAINTAIN_KEEP_HOURLY", "30d")
        .run()
        .exits(78)
        .stderr_has("MAINTAIN_KEEP_HOURLY is 30d, shorter than MAINTAIN_KEEP_CHECKS (90d); wants 90d or more");
}
