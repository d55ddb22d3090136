//! What the database's and the role's defaults for transactions may not change, and transactions
//! that PostgreSQL asks to be tried again.

use std::time::Duration;

use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::websites::Website;
use sitewatch_tests::{shared, wait};

use crate::support::{Prepared, last_line, lines, unique, up};

const TIMEOUT: Duration = Duration::from_secs(180);

/// Stricter than what our statements are written for; the last also makes a read-only serializable
/// transaction wait for the others.
const STRICT: [&[&str]; 2] = [
    &["default_transaction_isolation = 'repeatable read'"],
    &[
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
    ],
];

fn with_defaults(defaults: &[&str]) -> Prepared {
    let prepared = Prepared::new("defaults");
    for default in defaults {
        let name = prepared.database.name();
        prepared
            .client()
            .batch_execute(&format!("alter database \"{name}\" set {default}"))
            .unwrap();
    }
    prepared
}

/// A drain of two partitions with 200 events each.
fn backlog(prepared: &Prepared) -> impl Fn() -> Run {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("defaults");
    kafka.create_topic(&topic, 2);
    for partition in 0..2 {
        let messages: Vec<_> = (0..200)
            .map(|second| {
                // Of the same sites: a check a second in one, a check every other in the other.
                let site = format!("site-{}", second % 20);
                ("k", up(&site, 2 * second + partition).to_json())
            })
            .collect();
        kafka.produce(&topic, i32::try_from(partition).unwrap(), &messages);
    }
    move || {
        prepared
            .drain()
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("DRAIN_BATCH_SIZE", "20")
    }
}

#[track_caller]
fn has_recorded(finished: Finished, checks: i64, prepared: &Prepared) {
    let finished = finished.exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        format!("{checks} checks recorded")
    );
    assert_eq!(prepared.count("select count(*) from checks"), checks);
}

#[test]
fn writers_do_not_fail_against_each_other_under_stricter_isolation() {
    for defaults in STRICT {
        let prepared = with_defaults(defaults);
        let drain = backlog(&prepared);
        has_recorded(drain().run(), 400, &prepared);
    }
}

/// Both have looked for the partitions, and not found them, when the first one makes them.
#[test]
fn two_maintains_at_once_do_not_take_each_other_for_another_schema() {
    for defaults in STRICT {
        let prepared = with_defaults(defaults);
        let mut holder = prepared.client();
        holder
            .batch_execute(
                "select pg_advisory_lock(hashtextextended('sitewatch.create_check_partitions', 0))",
            )
            .unwrap();
        let running: Vec<_> = (0..2)
            .map(|_| prepared.maintain().var("MAINTAIN_AHEAD", "30d").spawn())
            .collect();
        wait::until("both wait to make partitions", TIMEOUT, || {
            prepared.count(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event = 'advisory'",
            ) == 2
        });
        drop(holder);
        for run in running {
            run.wait().exits(0);
        }
    }
}

#[test]
fn every_function_works_under_stricter_isolation() {
    let website = Website::up("hello");
    for defaults in STRICT {
        let prepared = with_defaults(defaults);
        // Everything of it once more, and a site.
        Run::setup()
            .var("DATABASE_URL", prepared.url())
            .var("SETUP_TOPIC", "false")
            .var("SITES", website.url())
            .run()
            .exits(0);
        let probe = Run::probe()
            .var("DATABASE_URL", prepared.url())
            .var("SITES_FROM", "database")
            .var("PROBE_SINK", "stdout")
            .run()
            .exits(0);
        // Two at once, over and over: both record the same sites, and how they went.
        for _ in 0..3 {
            let running: Vec<_> = (0..2)
                .map(|_| {
                    prepared
                        .drain()
                        .var("DRAIN_SOURCE", "stdin")
                        .stdin(probe.stdout.as_bytes())
                        .spawn()
                })
                .collect();
            for run in running {
                let finished = run.wait().exits(0);
                assert!(!finished.stderr.contains("WARN"), "it {finished}");
            }
        }
        assert_eq!(prepared.count("select count(*) from checks"), 1);
        prepared.maintain().run().exits(0);
        let report = prepared.report().run().exits(0);
        assert!(report.stdout.contains("up"), "{}", report.stdout);
    }
}

/// To override it would be wrong: hosts set it on a database whose disk is full.
#[test]
fn a_database_that_was_made_read_only_is_read_and_what_wants_to_write_says_so() {
    let prepared = Prepared::new("defaults");
    let website = Website::up("hello");
    let setup = || {
        Run::setup()
            .var("DATABASE_URL", prepared.url())
            .var("SETUP_TOPIC", "false")
            .var("SITES", website.url())
    };
    setup().run().exits(0);
    let drain = backlog(&prepared);
    drain().run().exits(0);
    let name = prepared.database.name();
    let mut superuser = shared::postgres().superuser();
    superuser
        .batch_execute(&format!(
            "alter database \"{name}\" set default_transaction_read_only = on"
        ))
        .unwrap();
    Run::probe()
        .var("DATABASE_URL", prepared.url())
        .var("SITES_FROM", "database")
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(0);
    prepared.report().run().exits(0);
    let piped = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("a", 1)]));
    for (run, before, what) in [
        (
            piped,
            "ERROR drain: PostgreSQL refused while recording checks",
            "INSERT",
        ),
        (
            prepared.maintain(),
            "WARN  maintain: how this run went could not be recorded in function_runs: cannot execute INSERT in a read-only transaction\nERROR maintain: PostgreSQL refused while reading PostgreSQL's clock",
            "UPDATE",
        ),
        (
            setup(),
            "ERROR setup: PostgreSQL refused while applying the migrations",
            "CREATE TABLE",
        ),
    ] {
        run.run()
            .exits(69)
            .logs(&format!("{before}: cannot execute {what} in a read-only transaction; it is a standby, or somebody set default_transaction_read_only for the database or DATABASE_USER, as hosts do when the disk is full; nothing is lost, the next run takes it up (exit code 69)\n"));
    }
}

/// PostgreSQL says so of the first transactions only, at their very end: sites, days and states
/// that a batch made are gone with it, and made again with the next attempt.
#[test]
fn a_transaction_that_postgresql_asks_to_be_tried_again_is() {
    for state in ["40001", "40P01"] {
        let prepared = Prepared::new("again");
        prepared
            .client()
            .batch_execute(&format!(
                "create sequence attempts;
                 create function refuse_three() returns trigger language plpgsql as $$
                 begin
                     -- What a sequence has given is not taken back.
                     if nextval('attempts') <= 3 then
                         raise exception 'try again' using errcode = '{state}';
                     end if;
                     return null;
                 end
                 $$;
                 create constraint trigger try_again
                     after update on kafka_offsets deferrable initially deferred
                     for each row execute function refuse_three()"
            ))
            .unwrap();
        let drain = backlog(&prepared);
        has_recorded(drain().var("DRAIN_BATCH_SIZE", "200").run(), 400, &prepared);
        assert_eq!(prepared.count("select count(*) from websites"), 20);
        assert_eq!(prepared.count("select count(*) from website_states"), 20);
        assert_eq!(prepared.count("select nextval('attempts')"), 6);
    }
}

#[test]
fn a_transaction_that_never_passes_is_not_tried_for_ever() {
    let prepared = Prepared::new("again");
    prepared
        .client()
        .batch_execute(
            "create sequence attempts;
             create function refuse() returns trigger language plpgsql as $$
             begin
                 perform nextval('attempts');
                 raise exception 'try again' using errcode = '40001';
             end
             $$;
             create trigger try_again before insert on checks
                 for each row execute function refuse()",
        )
        .unwrap();
    let drain = backlog(&prepared);
    drain()
        .var("DRAIN_WORKERS", "1")
        .var("DRAIN_BATCH_SIZE", "400")
        .run()
        .exits(75)
        .logs("ERROR drain: PostgreSQL was too busy while recording checks: try again; nothing is lost, the next run takes it up (exit code 75)\n");
    let attempts = prepared.count("select nextval('attempts')") - 1;
    assert!((2..=10).contains(&attempts), "{attempts} attempts");
    assert_eq!(prepared.count("select count(*) from checks"), 0);
}

#[test]
fn maintain_tries_again_as_well() {
    let prepared = Prepared::new("again");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("a", 2 * 3_600)]))
        .run()
        .exits(0);
    prepared
        .client()
        .batch_execute(
            "create sequence attempts;
             create function refuse_twice() returns trigger language plpgsql as $$
             begin
                 if nextval('attempts') <= 2 then
                     raise exception 'try again' using errcode = '40P01';
                 end if;
                 return new;
             end
             $$;
             create trigger try_again before insert on dirty_days
                 for each row execute function refuse_twice()",
        )
        .unwrap();
    let finished = prepared.maintain().run().exits(0);
    assert!(
        last_line(&finished.stderr).contains("1 hour rolled up"),
        "it {finished}"
    );
    assert_eq!(prepared.count("select count(*) from checks_hourly"), 1);
}
