//! Killed without warning, hundreds of times, at any instant.

use std::time::Duration;

use rustix::process::Signal;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger};

const TIMEOUT: Duration = Duration::from_secs(180);

const PARTITIONS: u64 = 3;

/// Pending messages below which more are produced, so that the kill meets a drain at work.
const BACKLOG: usize = 500;

fn killed_over_and_over(kills: usize, version: Version, client: &str) {
    let mut dice = Dice::new("killed");
    let mut ledger = Ledger::new("killed", shared::kafka(version), PARTITIONS as u16);
    let (mut at_work, mut recorded) = (0, 0);
    let mut lifetime = Duration::ZERO;
    // Otherwise the story proves nothing. A machine that is busy meets fewer drains at work.
    let enough = kills / 12 + 1;
    let mut kill = 0;
    while kill <= kills || (at_work < enough && kill <= kills * 4) {
        while ledger.sent() - recorded < BACKLOG {
            let partition = dice.between(0, PARTITIONS) as i32;
            ledger.produce(&mut dice, partition, 200, 50);
        }
        let mut drain = ledger
            .drain()
            .var("KAFKA_CLIENT", client)
            .var("DRAIN_BATCH_SIZE", dice.between(5, 51).to_string())
            .spawn();
        // The first lives, to tell how long a life is on this machine.
        if kill > 0 {
            let mut latest = lifetime;
            // Half of them are killed at any instant of their life, the others once they write:
            // most of a short life is connecting.
            if dice.one_in(2) {
                wait::holds_within(lifetime, || {
                    drain.has_ended() || ledger.recorded() > recorded
                });
                latest /= 4;
            }
            let instant = Duration::from_micros(dice.between(0, latest.as_micros() as u64));
            wait::holds_within(instant, || drain.has_ended());
            drain.signal(Signal::KILL);
        }
        let finished = drain.wait();
        assert!(
            finished.signal.is_some() || matches!(finished.code, Some(0 | 75)),
            "it {finished}"
        );
        if finished.code == Some(0) {
            lifetime = finished.elapsed;
        }
        ledger.offsets_say_what_is_recorded();
        let before = recorded;
        recorded = ledger.recorded();
        at_work += usize::from(finished.signal.is_some() && recorded > before);
        kill += 1;
    }
    let killed = kill - 1;
    println!("{at_work} of {killed} were killed between their first batch and their last");
    assert!(at_work >= enough, "only {at_work} were killed at work");
    wait::until("nobody holds a partition any more", TIMEOUT, || {
        let last = ledger.drain().var("KAFKA_CLIENT", client).run();
        assert!(matches!(last.code, Some(0 | 75)), "it {last}");
        ledger.recorded() == ledger.sent()
    });
    ledger.everything_once();
}

#[test]
fn a_drain_killed_at_any_instant_loses_and_repeats_nothing() {
    killed_over_and_over(200, Version::V4_1, "rdkafka");
}

#[test]
fn likewise_with_the_pure_rust_client() {
    killed_over_and_over(60, Version::V3_9, "kafka");
}
