//! Frozen in the middle, overtaken by another drain, and resumed.

use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::command::Running;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger, ended_well};

/// Far more than a small backlog needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions of drains on this database: held locks, and whether a transaction is open.
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

/// A drain that was frozen after its first batch and before its last.
fn freeze(ledger: &Ledger<'_>, dice: &mut Dice) -> Running {
    let mut drain = ledger
        .drain()
        .var("DRAIN_BATCH_SIZE", dice.between(5, 26).to_string())
        .spawn();
    wait::until("a batch is recorded", PATIENCE, || ledger.recorded() > 0);
    let instant = Duration::from_micros(dice.between(0, 30_000));
    wait::holds_within(instant, || drain.has_ended());
    drain.signal(Signal::STOP);
    assert!(ledger.recorded() < ledger.sent(), "frozen too late");
    drain
}

/// Its claim is lost with the connection that held it, as behind a pooler or a firewall that
/// forgets; what it writes afterwards must find that it was overtaken.
#[test]
fn a_frozen_drain_that_was_overtaken_changes_nothing() {
    let mut dice = Dice::new("frozen");
    let kafka = shared::kafka(Version::V4_1);
    let mut overtaken = 0;
    for _ in 0..8 {
        let mut ledger = Ledger::new("frozen", kafka, 2);
        for partition in 0..2 {
            ledger.produce(&mut dice, partition, 1_500, 50);
        }
        let frozen = freeze(&ledger, &mut dice);
        wait::until("another drain has done all of it", PATIENCE, || {
            end_claims(&ledger);
            ledger.drain().run().code == Some(0)
        });
        ledger.everything_once();

        frozen.signal(Signal::CONT);
        let finished = frozen.wait();
        ended_well(&finished);
        overtaken += u32::from(finished.stderr.contains("another drain"));
        ledger.everything_once();
    }
    println!("{overtaken} of 8 found themselves overtaken");
}
