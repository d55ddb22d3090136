//! Fewer connections than a drain would like: poolers, limits of a database, other drains.

use std::time::Duration;

use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::postgres::Pooler;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger};

const TIMEOUT: Duration = Duration::from_secs(180);

fn filled(story: &str, partitions: u16, messages: u64) -> (Dice, Ledger<'static>) {
    let mut dice = Dice::new(story);
    let mut ledger = Ledger::new(story, shared::kafka(Version::V4_1), partitions);
    for partition in 0..i32::from(partitions) {
        ledger.produce(&mut dice, partition, messages, 20);
    }
    (dice, ledger)
}

/// Three at once, each of which would like to write twice over and to hold locks besides.
fn three_drains_get_on(pooler: &Pooler) {
    let (mut dice, mut ledger) = filled("pool", 4, 150);
    let url = pooler.url_for(ledger.prepared.database.name());
    for _ in 0..2 {
        let running: Vec<_> = (0..3)
            .map(|_| {
                ledger
                    .drain()
                    .var("DATABASE_URL", &url)
                    .var("DRAIN_BATCH_SIZE", dice.between(10, 51).to_string())
                    .spawn()
            })
            .collect();
        for run in running {
            run.wait().exits(0);
        }
        ledger.offsets_say_what_is_recorded();
        for partition in 0..4 {
            ledger.produce(&mut dice, partition, 50, 20);
        }
    }
    ledger.drain().var("DATABASE_URL", &url).run().exits(0);
    ledger.everything_once();
}

#[test]
fn three_drains_share_a_pool_of_one_connection_by_transactions() {
    three_drains_get_on(&shared::postgres().pooler(1));
}

#[test]
fn three_drains_share_a_pool_of_two_connections_by_transactions() {
    three_drains_get_on(&shared::postgres().pooler(2));
}

#[test]
fn three_drains_share_a_pool_of_one_connection_by_sessions() {
    three_drains_get_on(&shared::postgres().session_pooler(1));
}

#[test]
fn three_drains_share_a_pool_of_three_connections_by_sessions() {
    three_drains_get_on(&shared::postgres().session_pooler(3));
}

fn limit(ledger: &Ledger<'_>, connections: i32) {
    let name = ledger.prepared.database.name();
    shared::postgres()
        .superuser()
        .batch_execute(&format!(
            "alter database \"{name}\" connection limit {connections}"
        ))
        .unwrap();
}

/// Nobody is connected any more: PostgreSQL ends a session a moment after its client has gone.
fn alone(ledger: &Ledger<'_>) {
    let mut superuser = shared::postgres().superuser();
    wait::until("nobody is connected", TIMEOUT, || {
        let connected: i64 = superuser
            .query_one(
                "select count(*) from pg_stat_activity where datname = $1",
                &[&ledger.prepared.database.name()],
            )
            .unwrap()
            .get(0);
        connected == 0
    });
}

#[test]
fn a_drain_does_with_the_connections_that_a_limit_leaves_it() {
    for connections in [1, 2, 3] {
        let (_, ledger) = filled("limit", 3, 100);
        limit(&ledger, connections);
        alone(&ledger);
        let finished = ledger
            .drain()
            .var("DRAIN_WORKERS", "3")
            .var("DRAIN_BATCH_SIZE", "10")
            .run()
            .exits(0);
        assert!(!finished.stderr.contains("WARN"), "it {finished}");
        limit(&ledger, -1);
        ledger.everything_once();
        assert_eq!(
            ledger.prepared.count(
                "select count(*) from function_runs where function = 'drain' and exit_code = 0"
            ),
            1
        );
    }
}

#[test]
fn no_connection_at_all_is_told_as_the_limit_it_is() {
    let (_, ledger) = filled("limit", 1, 10);
    limit(&ledger, 0);
    alone(&ledger);
    let says_so = |function: &str, run: Run| {
        run.run()
            .exits(69)
            .logs(&format!(r#"ERROR {function}: PostgreSQL at 127.0.0.1:{} has no connection to spare for role sitewatch: too many connections for database "{}"; let fewer runs overlap, or raise the limit: max_connections, CONNECTION LIMIT of the role or the database, or the pooler's (exit code 69)
"#, shared::postgres().port(), ledger.prepared.database.name()));
    };
    says_so("drain", ledger.drain());
    says_so("maintain", ledger.prepared.maintain());
    says_so("report", ledger.prepared.report());
    limit(&ledger, -1);
    ledger.drain().run().exits(0);
    ledger.everything_once();
}

/// Locks a partition as another drain does, for as long as the connection lives.
fn hold(ledger: &Ledger<'_>, partition: i32) -> postgres::Client {
    let mut holder = ledger.prepared.client();
    holder
        .execute(
            "select pg_advisory_lock(hashtextextended('sitewatch.drain ' || $1 || ' ' || $2, 0))",
            &[&ledger.topic, &partition.to_string()],
        )
        .unwrap();
    holder
}

#[test]
fn a_partition_that_another_drain_has_is_no_failure() {
    let (_, ledger) = filled("busy", 2, 100);
    let other = hold(&ledger, 0);
    let finished = ledger
        .drain()
        .var("DRAIN_BATCH_SIZE", "20")
        .run()
        .exits(0)
        .stderr_has("1 partition left to another drain");
    assert_eq!(ledger.recorded(), 100, "it {finished}");
    drop(other);
    ledger.drain().run().exits(0);
    ledger.everything_once();
}

#[test]
fn what_another_drain_left_when_it_ended_is_done_by_the_one_that_is_still_there() {
    let (_, ledger) = filled("busy", 2, 1_500);
    let other = hold(&ledger, 0);
    let drain = ledger.drain().var("DRAIN_BATCH_SIZE", "5").spawn();
    wait::until("a batch is recorded", TIMEOUT, || ledger.recorded() > 0);
    assert!(ledger.recorded() < 1_500, "the other one ended too late");
    drop(other);
    let finished = drain.wait().exits(0);
    assert!(
        !finished.stderr.contains("left to another drain"),
        "it {finished}"
    );
    ledger.everything_once();
}
