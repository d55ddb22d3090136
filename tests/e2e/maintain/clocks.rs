//! A clock that is wrong, whosever it is, takes nothing of the history.

use jiff::Timestamp;
use sitewatch::event::CheckEvent;
use sitewatch_tests::postgres::Postgres;

use super::{at, hours_ago, minutes, record};
use crate::support::{Prepared, last_line, lines, up};

/// A day of checks eight days ago, rolled up, and one of now.
fn filled(prepared: &Prepared) {
    let zero = hours_ago(24 * 8);
    let mut events: Vec<CheckEvent<'_>> = (0..60)
        .map(|minute| at(up("shop", 0), zero + minutes(minute)))
        .collect();
    events.push(at(up("shop", 0), Timestamp::now() - minutes(1)));
    record(prepared, &events);
    prepared.maintain().run().exits(0);
}

/// What there is of single checks, hours and days.
fn history(prepared: &Prepared) -> [i64; 3] {
    ["checks", "checks_hourly", "checks_daily"]
        .map(|table| prepared.count(&format!("select count(*) from {table}")))
}

#[test]
fn a_maintain_whose_clock_is_ahead_drops_nothing_says_so_and_does_the_rest() {
    let prepared = Prepared::new("maintain");
    filled(&prepared);
    let before = history(&prepared);
    for (hours, clock) in [(50, "+100d"), (51, "+2200d"), (52, "-100d"), (53, "+3h")] {
        record(&prepared, &[at(up("shop", 0), hours_ago(hours))]);
        let run = prepared
            .maintain()
            .clock(clock)
            .run()
            .exits(78)
            .stderr_has("nothing was dropped: this machine's clock says 20")
            .stderr_has("and PostgreSQL's 20");
        let said = last_line(&run.stderr);
        assert!(said.contains("rolled up"), "{clock}: {said}");
    }
    let [checks, ..] = before;
    assert_eq!(history(&prepared)[0], checks + 4);
    assert_eq!(
        prepared.count(
            "select count(*) from check_partitions where day > (now() at time zone 'UTC')::date + 7"
        ),
        0,
        "partitions were made for days that are not near"
    );
    // Nothing of it is left: the next checks count, and the next run is told of.
    record(&prepared, &[at(up("shop", 0), hours_ago(1))]);
    let run = prepared.maintain().run().exits(0);
    assert!(
        !run.stderr.contains("not counted"),
        "a recent check was not counted: {}",
        run.stderr
    );
    assert_eq!(
        prepared.count(
            "select count(*) from function_runs
             where function = 'maintain' and exit_code = 0 and started_at <= now()"
        ),
        1
    );
}

#[test]
fn a_postgresql_whose_clock_is_ahead_is_not_believed_and_neither_is_one_that_jumped() {
    let server = Postgres::options().own_clock().start();
    let prepared = Prepared::on(&server, "maintain");
    filled(&prepared);
    let before = history(&prepared);
    let ahead = |clock: &str| prepared.maintain().clock(clock);
    for clock in ["+100d", "+2200d"] {
        server.set_clock(clock);
        prepared
            .maintain()
            .run()
            .exits(78)
            .stderr_has("nothing was dropped: this machine's clock says 20");
        // One machine has one clock: then it is the data that it does not fit.
        ahead(clock)
            .run()
            .exits(78)
            .stderr_has("nothing was dropped: PostgreSQL's clock says 20")
            .stderr_has("but the newest check is of 20");
    }
    // What a clock that is ahead records looks like new checks; the last run does not fit them.
    server.set_clock("+100d");
    let later = |days: i64| {
        let checked_at = Timestamp::now() + minutes(days * 24 * 60 - 1);
        prepared
            .drain()
            .clock("+100d")
            .var("DRAIN_SOURCE", "stdin")
            .stdin(lines(&[at(up("shop", 0), checked_at)]))
            .run()
            .exits(0);
    };
    later(100);
    for _ in 0..2 {
        ahead("+100d")
            .run()
            .exits(78)
            .stderr_has("but the last run that was believed was on 20")
            .stderr_has("1 day holds checks since");
    }
    let [checks, ..] = before;
    assert_eq!(history(&prepared)[0], checks + 1);
    // A week of checks vouches for it: so much time has really passed.
    for days in 94..100 {
        later(days);
    }
    ahead("+100d")
        .run()
        .exits(0)
        .stderr_has("days of checks dropped");
    assert_eq!(history(&prepared)[0], 7);
}

#[test]
fn the_newest_checks_are_kept_however_old_they_are() {
    let prepared = Prepared::new("maintain");
    record(
        &prepared,
        &[
            at(up("shop", 0), hours_ago(24 * 10)),
            at(up("shop", 0), hours_ago(24 * 3)),
        ],
    );
    let keep = |days: &str| prepared.maintain().var("MAINTAIN_KEEP_CHECKS", days);
    // Two days of retention, counted from the newest check.
    keep("2d")
        .run()
        .exits(0)
        .stderr_has("1 day of checks dropped");
    assert_eq!(prepared.count("select count(*) from checks"), 1);
    keep("2d")
        .run()
        .exits(0)
        .logs("INFO  maintain: nothing to do\n");
}

#[test]
fn a_caller_of_the_schemas_own_functions_cannot_step_round_it() {
    let prepared = Prepared::new("maintain");
    filled(&prepared);
    let before = history(&prepared);
    for statement in [
        "select drop_check_partition((now() at time zone 'UTC')::date, 1)",
        "select drop_check_partition((now() at time zone 'UTC')::date - 8, 8)",
        "select drop_check_partition((now() at time zone 'UTC')::date - 8, 0)",
        "select drop_check_partition((now() at time zone 'UTC')::date - 8, -100)",
        "select drop_check_partition((now() at time zone 'UTC')::date - 8, null)",
        "select drop_rollup_partitions(-400, 3650)",
        "select drop_rollup_partitions(30, -400)",
        "select drop_rollup_partitions(null, 3650)",
    ] {
        let error = prepared
            .client()
            .batch_execute(statement)
            .expect_err(statement);
        assert_eq!(
            error.code(),
            Some(&postgres::error::SqlState::CHECK_VIOLATION),
            "{statement}: {error}"
        );
    }
    assert_eq!(history(&prepared), before);
}

#[test]
fn days_that_an_earlier_release_marked_as_dropped_are_counted_when_they_come() {
    let prepared = Prepared::new("maintain");
    // What its run with a wrong clock left behind.
    prepared
        .client()
        .batch_execute("update retention set checks_from = (now() at time zone 'UTC')::date + 10")
        .unwrap();
    record(
        &prepared,
        &[
            at(up("shop", 0), hours_ago(2)),
            at(up("shop", 0), hours_ago(2) + minutes(1)),
        ],
    );
    let run = prepared.maintain().run().exits(0);
    assert!(!run.stderr.contains("not counted"), "{}", run.stderr);
    assert_eq!(
        prepared.count("select sum(checks)::int8 from checks_hourly"),
        2
    );
}
