//! Killed without warning, hundreds of times, at any instant.

use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger};

const PARTITIONS: u64 = 3;

/// Drains killed in each story.
const KILLS: usize = 150;

/// Later than this, a drain with little to do has ended.
const LATEST: u64 = 120_000;

/// Pending messages below which more are produced, so that the kill meets a drain at work.
const BACKLOG: usize = 400;

fn killed_over_and_over(version: Version, client: &str) {
    let mut dice = Dice::new("killed");
    let mut ledger = Ledger::new("killed", shared::kafka(version), PARTITIONS as u16);
    let (mut at_work, mut recorded) = (0, 0);
    for _ in 0..KILLS {
        while ledger.sent() - recorded < BACKLOG {
            let partition = dice.between(0, PARTITIONS) as i32;
            ledger.produce(&mut dice, partition, 200, 50);
        }
        let mut drain = ledger
            .drain()
            .var("KAFKA_CLIENT", client)
            .var("DRAIN_BATCH_SIZE", dice.between(5, 51).to_string())
            .spawn();
        let instant = Duration::from_micros(dice.between(0, LATEST));
        wait::holds_within(instant, || drain.has_ended());
        drain.signal(Signal::KILL);
        let finished = drain.wait();
        assert!(
            finished.signal.is_some() || matches!(finished.code, Some(0 | 75)),
            "it {finished}"
        );
        ledger.offsets_say_what_is_recorded();
        let before = recorded;
        recorded = ledger.recorded();
        at_work += usize::from(finished.signal.is_some() && recorded > before);
    }
    // Otherwise the story proves nothing.
    assert!(at_work > KILLS / 5, "only {at_work} were killed at work");
    ledger.drain().var("KAFKA_CLIENT", client).run().exits(0);
    ledger.everything_once();
}

#[test]
fn a_drain_killed_at_any_instant_loses_and_repeats_nothing() {
    killed_over_and_over(Version::V4_1, "rdkafka");
}

#[test]
fn likewise_with_the_pure_rust_client() {
    killed_over_and_over(Version::V3_9, "kafka");
}
