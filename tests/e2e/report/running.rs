//! The sums of the running hour change nothing but how long a report takes, whenever its checks arrive.

use jiff::{SignedDuration, Timestamp};
use sitewatch::event::{CheckEvent, Outcome};
use sitewatch_tests::command::Finished;

use super::history::json;
use super::trailing::Standing;
use crate::dice::Dice;
use crate::support::{Prepared, down, now, record, same_lines, up};

/// The end of the hour before this one: a time that is over, so that nothing is of the future.
fn end_of_hour() -> Timestamp {
    Timestamp::from_second(now().as_second() / 3_600 * 3_600).unwrap()
}

/// Checks of two hours until so many minutes before the end, oldest first: of some locations, some down,
/// unanswered, unknown, in maintenance or made twice for a slot.
fn checks(dice: &mut Dice, end: Timestamp, left: i64) -> Vec<CheckEvent<'static>> {
    let mut events = Vec::new();
    for ago in left * 60..7_200 {
        for (site, location, every) in [
            ("shop", "north", 60),
            ("shop", "south", 20),
            ("blog", "north", 300),
            ("rare", "north", 3_599),
        ] {
            let offset = i64::try_from(site.len() + location.len()).unwrap();
            if (ago + offset) % every != 0 {
                continue;
            }
            let event = if dice.one_in(12) {
                down(site, 0)
            } else {
                up(site, 0)
            };
            let (is_known, is_answered) = (!dice.one_in(20), !dice.one_in(20));
            events.push(CheckEvent {
                location: location.into(),
                checked_at: end - SignedDuration::from_secs(ago),
                interval_ms: (!dice.one_in(10)).then_some(u32::try_from(every).unwrap() * 1_000),
                scheduled_at: Some(end - SignedDuration::from_secs(ago)),
                total_us: u32::try_from(dice.between(1_000, 900_000)).unwrap(),
                maintenance: dice.one_in(15),
                up: event.up.filter(|_| is_known),
                outcome: if is_known {
                    event.outcome
                } else {
                    Outcome::Local
                },
                status: event.status.filter(|_| is_answered),
                ..event
            });
        }
    }
    events.reverse();
    events.sort_by_key(|event| event.checked_at);
    events
}

/// All that is told of sites and of objectives.
fn told(prepared: &Prepared) -> String {
    [
        ("sites", "json"),
        ("sites", "csv"),
        ("sites", "html"),
        ("sites", "prometheus"),
        ("incidents", "json"),
        ("sla", "json"),
    ]
    .into_iter()
    .map(|(kind, format)| {
        let run = prepared
            .report()
            .var("REPORT_KIND", kind)
            .var("REPORT_FORMAT", format);
        run.run().exits(0).stdout
    })
    .collect()
}

/// Reports with the sums, as far as they hold, and from checks alone: they are the same.
#[track_caller]
fn same(prepared: &Prepared, when: &str) {
    let mut client = prepared.client();
    let with_sums = told(prepared);
    client
        .batch_execute(
            "create table marks as select * from dirty_hours;
             update dirty_hours set checked_from = null, summed_to = null",
        )
        .unwrap();
    let without = told(prepared);
    client
        .batch_execute(
            "update dirty_hours set (checked_from, summed_to) =
                 (select checked_from, summed_to from marks where marks.id = dirty_hours.id);
             drop table marks",
        )
        .unwrap();
    same_lines(&with_sums, &without, when);
}

/// Whether reports read the sums.
fn are_read(prepared: &Prepared) -> bool {
    let change = |by: &str| {
        let statement =
            format!("update running_hour set up = up {by}, covered_ms = covered_ms {by}");
        prepared.client().batch_execute(&statement).unwrap();
    };
    let before = told(prepared);
    change("+ 1000");
    let differs = told(prepared) != before;
    change("- 1000");
    differs
}

fn maintain(prepared: &Prepared) {
    goes_well(&prepared.maintain().run());
}

/// By a clock that stands up to two hours behind this machine's nothing is dropped, and that is said.
#[track_caller]
fn goes_well(run: &Finished) {
    assert!(matches!(run.code, Some(0 | 78)), "{run}");
}

#[test]
fn checks_are_in_no_report_twice_and_in_none_not_at_all_in_whatever_order_they_arrive() {
    let mut dice = Dice::new("running");
    let end = end_of_hour();
    let standing = Standing::start();
    let prepared = Prepared::on(&standing.0, "running");
    let mut arrivals = checks(&mut dice, end, 3);
    // Most arrive in time, some much later.
    let mut late: Vec<_> = arrivals.extract_if(.., |_| dice.one_in(8)).collect();
    for at in (1..late.len()).rev() {
        late.swap(at, usize::try_from(dice.between(0, at as u64 + 1)).unwrap());
    }
    let mut read = 0;
    for minute in [-70, -55, -40, -30, -15, -3, 4, 9] {
        let time = end + SignedDuration::from_mins(minute);
        standing.set(time);
        let in_time = arrivals.partition_point(|event| event.checked_at <= time);
        record(&prepared, &arrivals.drain(..in_time).collect::<Vec<_>>());
        if dice.one_in(2) {
            let some = late.len() / 3;
            let some: Vec<_> = late
                .extract_if(..some, |event| event.checked_at <= time)
                .collect();
            record(&prepared, &some);
        }
        same(&prepared, &format!("{minute} minutes, recorded"));
        if !dice.one_in(3) {
            maintain(&prepared);
            same(&prepared, &format!("{minute} minutes, maintained"));
            read += usize::from(are_read(&prepared));
        }
    }
    assert!(read > 0);
    record(&prepared, &late);
    same(&prepared, "all recorded");
    maintain(&prepared);
    same(&prepared, "all maintained");
}

#[test]
fn sums_hold_until_a_check_comes_that_they_lack_and_no_longer_than_the_hour_waits() {
    let mut dice = Dice::new("sums");
    let end = end_of_hour();
    let standing = Standing::start();
    standing.set(end - SignedDuration::from_mins(3));
    let prepared = Prepared::on(&standing.0, "running");
    record(&prepared, &checks(&mut dice, end, 3));
    let late = |minutes: i64| CheckEvent {
        location: "north".into(),
        checked_at: end - SignedDuration::from_mins(minutes),
        interval_ms: Some(60_000),
        ..up("shop", 0)
    };
    assert!(!are_read(&prepared), "none were made");
    maintain(&prepared);
    assert!(are_read(&prepared));
    // Of an hour that has none, and after their end.
    record(&prepared, &[late(100), late(2)]);
    assert!(are_read(&prepared));
    record(&prepared, &[late(40)]);
    assert!(!are_read(&prepared), "one is late");
    maintain(&prepared);
    assert!(are_read(&prepared), "they were made again");
    // By a drain of the release before.
    let mut client = prepared.client();
    let old = "insert into dirty_hours (hour) select max(hour) from dirty_hours";
    client.batch_execute(old).unwrap();
    assert!(!are_read(&prepared), "it says nothing of when");
    maintain(&prepared);
    assert!(are_read(&prepared));
    // The hour is over, and not rolled up.
    standing.set(end + SignedDuration::from_mins(1));
    assert!(are_read(&prepared));
    // By a `maintain` that knows nothing of sums; then a check that comes later than they end.
    client
        .batch_execute("delete from dirty_hours where summed_to is not null")
        .unwrap();
    record(&prepared, &[late(1)]);
    assert!(!are_read(&prepared), "nothing says what they hold");
    maintain(&prepared);
    same(&prepared, "rolled up");
}

#[test]
fn a_location_that_is_behind_holds_the_end_back_and_a_silent_one_does_not() {
    let end = end_of_hour();
    let standing = Standing::start();
    let prepared = Prepared::on(&standing.0, "running");
    standing.set(end - SignedDuration::from_mins(1));
    let check = |location: &'static str, minutes: i64| CheckEvent {
        location: location.into(),
        checked_at: end - SignedDuration::from_mins(minutes),
        ..up("shop", 0)
    };
    let minutes_left = || {
        let to = prepared
            .client()
            .query_one("select max(summed_to) from dirty_hours", &[])
            .unwrap();
        let to: Timestamp = to.get(0);
        end.duration_since(to).as_mins()
    };
    let mut events: Vec<_> = (5..50).map(|minutes| check("north", minutes)).collect();
    events.extend((10..50).map(|minutes| check("south", minutes)));
    events.push(check("silent", 30));
    record(&prepared, &events);
    maintain(&prepared);
    assert_eq!(minutes_left(), 12);
    record(&prepared, &[check("south", 4)]);
    maintain(&prepared);
    assert_eq!(minutes_left(), 7);
}

#[test]
fn what_could_not_be_checked_covers_nothing_of_the_running_hour() {
    let end = end_of_hour();
    let standing = Standing::start();
    let prepared = Prepared::on(&standing.0, "running");
    standing.set(end - SignedDuration::from_mins(3));
    let check = |minutes: i64| {
        let time = end - SignedDuration::from_mins(minutes);
        CheckEvent {
            checked_at: time,
            scheduled_at: Some(time),
            interval_ms: Some(60_000),
            ..up("shop", 0)
        }
    };
    let unknown = CheckEvent {
        up: None,
        outcome: Outcome::Local,
        status: None,
        ..check(5)
    };
    record(&prepared, &[check(100), unknown]);
    for (kind, field) in [("sites", "coverage_24h"), ("sla", "coverage")] {
        let report = prepared
            .report()
            .var("REPORT_KIND", kind)
            .var("REPORT_FORMAT", "json");
        let line = json(&report.run().exits(0).stdout).remove(0);
        // A minute of 97.
        let covered = line[field].as_f64().unwrap();
        assert!((1.0..1.1).contains(&covered), "{field}: {covered}");
    }
}

#[test]
fn drains_and_several_maintains_at_once_lose_nothing() {
    let mut dice = Dice::new("at-once");
    let end = end_of_hour();
    let standing = Standing::start();
    standing.set(end - SignedDuration::from_mins(3));
    let prepared = Prepared::on(&standing.0, "running");
    let all = checks(&mut dice, end, 3);
    let (first, rest) = all.split_at(all.len() / 2);
    record(&prepared, first);
    for part in rest.chunks(rest.len() / 4 + 1) {
        let runs: Vec<_> = (0..2).map(|_| prepared.maintain().spawn()).collect();
        record(&prepared, part);
        for run in runs {
            goes_well(&run.wait());
        }
        same(&prepared, "at once");
    }
    maintain(&prepared);
    assert!(are_read(&prepared));
    same(&prepared, "at last");
}
