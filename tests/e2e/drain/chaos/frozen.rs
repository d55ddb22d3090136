//! Frozen in the middle, overtaken by another drain, and resumed.

use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::command::{Run, Running};
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger, ended_well};

/// Far more than a small backlog needs.
const PATIENCE: Duration = Duration::from_secs(40);

const ROUNDS: u32 = 6;

/// Ends the sessions that hold claims, as a pooler or a firewall does that forgets connections.
fn end_claims(ledger: &Ledger<'_>) {
    shared::postgres()
        .superuser()
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = $1 and exists (
                 select from pg_locks where locktype = 'advisory' and pg_locks.pid = pg_stat_activity.pid)",
            &[&ledger.prepared.database.name()],
        )
        .unwrap();
}

/// Small batches, and no long wait for what a frozen drain has locked.
fn drain(ledger: &Ledger<'_>, dice: &mut Dice) -> Run {
    ledger
        .drain()
        .var("DRAIN_BATCH_SIZE", dice.between(5, 26).to_string())
        .var("DATABASE_STATEMENT_TIMEOUT", "1s")
        .var("DATABASE_LOCK_TIMEOUT", "500ms")
}

/// A drain frozen between its first batch and its last.
fn freeze(ledger: &Ledger<'_>, dice: &mut Dice, run: Run) -> Running {
    let mut run = run.spawn();
    wait::until("a batch is recorded", PATIENCE, || ledger.recorded() > 0);
    let instant = Duration::from_micros(dice.between(0, 20_000));
    wait::holds_within(instant, || run.has_ended());
    run.signal(Signal::STOP);
    assert!(ledger.recorded() < ledger.sent(), "frozen too late");
    run
}

/// What it writes once it is resumed must find that it was overtaken: no lock keeps it from
/// writing.
#[test]
fn a_frozen_drain_that_was_overtaken_changes_nothing() {
    let mut dice = Dice::new("frozen");
    let mut overtaken = 0;
    for _ in 0..ROUNDS {
        let mut ledger = Ledger::new("frozen", shared::kafka(Version::V4_1), 2);
        for partition in 0..2 {
            ledger.produce(&mut dice, partition, 800, 50);
        }
        let frozen = drain(&ledger, &mut dice);
        let frozen = freeze(&ledger, &mut dice, frozen);
        wait::until("another drain has done all of it", PATIENCE, || {
            end_claims(&ledger);
            let other = drain(&ledger, &mut dice).run();
            assert!(matches!(other.code, Some(0 | 75)), "it {other}");
            other.code == Some(0)
        });
        ledger.everything_once();

        frozen.signal(Signal::CONT);
        let finished = frozen.wait();
        ended_well(&finished);
        assert_ne!(finished.code, Some(0), "it {finished}");
        overtaken += u32::from(finished.stderr.contains("by another drain"));
        ledger.everything_once();
    }
    println!("{overtaken} of {ROUNDS} found themselves overtaken");
}

/// Nobody helps: PostgreSQL itself takes the partitions from a drain that should have ended.
#[test]
fn a_frozen_drain_keeps_its_partitions_no_longer_than_its_deadline() {
    let mut dice = Dice::new("deadline");
    let mut ledger = Ledger::new("deadline", shared::kafka(Version::V4_1), 2);
    for partition in 0..2 {
        ledger.produce(&mut dice, partition, 1_500, 50);
    }
    let frozen = drain(&ledger, &mut dice).var("DRAIN_DEADLINE", "5s");
    let frozen = freeze(&ledger, &mut dice, frozen);
    drain(&ledger, &mut dice)
        .run()
        .exits(75)
        .stderr_has("2 partitions left to another drain");
    wait::until("another drain has done all of it", PATIENCE, || {
        drain(&ledger, &mut dice).run().code == Some(0)
    });
    ledger.everything_once();
    frozen.signal(Signal::CONT);
    let finished = frozen.wait();
    assert!(matches!(finished.code, Some(69 | 75)), "it {finished}");
    ledger.everything_once();
}
