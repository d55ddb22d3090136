//! What is old goes; what others are reading goes later.

use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;

use super::{at, hours_ago, minutes, record};
use crate::support::{Prepared, down, last_line, up};

#[test]
fn old_days_are_dropped_whole_their_rollups_stay_and_later_checks_do_not_change_them() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(24 * 10);
    let mut events: Vec<CheckEvent<'_>> = (0..60)
        .map(|minute| at(up("shop", 0), zero + minutes(minute)))
        .collect();
    // Old is what is older than the newest check.
    events.push(up("blog", 60));
    record(&prepared, &events);
    let keep = || prepared.maintain().var("MAINTAIN_KEEP_CHECKS", "5d");
    let said = last_line(&keep().run().exits(0).stderr);
    assert!(said.contains("1 day of checks dropped"), "{said}");
    assert_eq!(prepared.count("select count(*) from checks"), 1);
    let counted = || {
        prepared.count(
            "select sum(up + 100 * down)::int8 from checks_daily
             join websites on id = website_id where name = 'shop'",
        )
    };
    assert_eq!(counted(), 60);

    record(&prepared, &[at(down("shop", 0), zero + minutes(3))]);
    keep()
        .run()
        .exits(0)
        .logs(&format!(r#"WARN  maintain: checks of the hour from {zero} came after their day was dropped (MAINTAIN_KEEP_CHECKS): they are not counted
INFO  maintain: 1 day of checks dropped
"#));
    assert_eq!(prepared.count("select count(*) from checks"), 1);
    assert_eq!(counted(), 60);
}

#[test]
fn months_of_hourly_statistics_go_when_they_are_old() {
    let prepared = Prepared::new("maintain");
    record(
        &prepared,
        &[at(up("shop", 0), hours_ago(24 * 70)), up("blog", 60)],
    );
    prepared.maintain().run().exits(0);
    let of_shop = |table: &str| {
        prepared.count(&format!(
            "select count(*) from {table} join websites on id = website_id where name = 'shop'"
        ))
    };
    assert_eq!(of_shop("checks_hourly"), 1);
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "7d")
        .var("MAINTAIN_KEEP_HOURLY", "30d")
        .run()
        .exits(0);
    assert_eq!(of_shop("checks_hourly"), 0);
    assert_eq!(of_shop("checks_daily"), 1);
}

#[test]
fn partitions_are_there_before_they_are_needed_and_drain_makes_the_one_that_is_not() {
    let prepared = Prepared::new("maintain");
    let ahead = || {
        prepared.count(
            "select count(*) from check_partitions where day >= (now() at time zone 'UTC')::date",
        )
    };
    let rollups_until = || {
        prepared.count(
            "select max(right(relname, 6))::int8 from pg_class
             where relname ~ '^(checks|response_times|outages)_hourly_[0-9]{6}$'",
        )
    };
    // `setup` has made as many as `maintain` does. Without either there are none.
    assert_eq!(ahead(), 8);
    prepared
        .client()
        .batch_execute(
            "do $$
             declare name text;
             begin
                 for name in select check_partitions.name from check_partitions loop
                     execute format('drop table %I', name);
                 end loop;
             end
             $$",
        )
        .unwrap();
    record(&prepared, &[up("shop", 0)]);
    assert_eq!(prepared.count("select count(*) from checks"), 1);
    assert_eq!(ahead(), 1);
    prepared.maintain().run().exits(0);
    assert_eq!(ahead(), 8);
    let month = rollups_until();
    prepared
        .maintain()
        .var("MAINTAIN_AHEAD", "40d")
        .run()
        .exits(0);
    assert_eq!(ahead(), 41);
    assert!(rollups_until() > month);
    prepared
        .maintain()
        .run()
        .exits(0)
        .logs("INFO  maintain: nothing to do\n");
}

#[test]
fn a_drop_waits_for_nobody_long() {
    let prepared = Prepared::new("maintain");
    record(
        &prepared,
        &[at(up("shop", 0), hours_ago(24 * 10)), up("blog", 60)],
    );
    let mut reader = prepared.client();
    let mut transaction = reader.transaction().unwrap();
    transaction.query("select from checks", &[]).unwrap();
    let run = prepared
        .maintain()
        .var("MAINTAIN_KEEP_CHECKS", "5d")
        .spawn();
    // A drain goes on meanwhile.
    record(&prepared, &[up("shop", 10)]);
    run.wait().exits(75).stderr_has("because somebody reads it");
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
    Run::maintain()
        .var("DATABASE_URL", "postgres://nobody@localhost/none")
        .var("MAINTAIN_KEEP_HOURLY", "30d")
        .run()
        .exits(78)
        .logs(r#"ERROR maintain: MAINTAIN_KEEP_HOURLY is 30d, shorter than MAINTAIN_KEEP_CHECKS (90d); wants 90d or more
ERROR maintain: see `maintain --help` for every variable it reads (exit code 78)
"#);
}
