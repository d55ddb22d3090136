//! Several drains at once: each does its share, none repeats another's.

use std::time::Duration;

use sitewatch_tests::command::Running;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger, counter};

const PARTITIONS: i32 = 6;
const WAVES: usize = 3;

fn in_waves(drains: usize, version: Version, client: &str) {
    let mut dice = Dice::new("together");
    let mut ledger = Ledger::new("together", shared::kafka(version), PARTITIONS as u16);
    let mut running: Vec<Running> = Vec::new();
    let mut finished = Vec::new();
    for _ in 0..WAVES {
        for partition in 0..PARTITIONS {
            ledger.produce(&mut dice, partition, 150, 40);
        }
        while running.len() < drains {
            let run = ledger
                .drain()
                .var("KAFKA_CLIENT", client)
                .var("DRAIN_BATCH_SIZE", dice.between(5, 51).to_string())
                .var("LOG_FORMAT", "json")
                .spawn();
            running.push(run);
        }
        // The next wave comes when half of this one has ended.
        wait::until("drains end", Duration::from_secs(60), || {
            let ended: Vec<Running> = running.extract_if(.., Running::has_ended).collect();
            finished.extend(ended.into_iter().map(Running::wait));
            running.len() <= drains / 2
        });
    }
    finished.extend(running.into_iter().map(Running::wait));
    wait::until("nothing is left", Duration::from_secs(60), || {
        let last = ledger
            .drain()
            .var("KAFKA_CLIENT", client)
            .var("LOG_FORMAT", "json")
            .run();
        let done = counter(&last, "partitions_busy") == 0;
        finished.push(last);
        done
    });
    ledger.everything_once();

    let sum = |name: &str| -> u64 { finished.iter().map(|run| counter(run, name)).sum() };
    assert_eq!(
        sum("recorded"),
        ledger.events() as u64,
        "recorded, by all together"
    );
    assert_eq!(
        sum("recorded") + sum("dead_letters"),
        ledger.sent() as u64,
        "recorded or dead-lettered, by all together"
    );
    assert_eq!(sum("repeated"), 0, "work done twice");
    for run in &finished {
        assert_eq!(run.code, Some(0), "it {run}");
        assert_eq!(
            counter(run, "partitions_busy") > 0,
            run.stderr.contains("left to another drain"),
            "it {run}"
        );
    }
    let busy = finished
        .iter()
        .filter(|run| counter(run, "partitions_busy") > 0)
        .count();
    println!(
        "{} drains, {busy} left partitions to others",
        finished.len()
    );
}

#[test]
fn two_drains_at_once_share_the_work() {
    in_waves(2, Version::V4_1, "rdkafka");
}

#[test]
fn ten_drains_at_once_share_the_work() {
    in_waves(10, Version::V4_1, "rdkafka");
}

#[test]
fn drains_of_both_clients_are_the_same_to_each_other() {
    in_waves(3, Version::V3_9, "kafka");
}
