//! What becomes of a topic between two runs, and holes in it.

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use sitewatch_tests::kafka::{End, Kafka, Version};
use sitewatch_tests::{shared, wait};

use super::{Dice, Ledger};
use crate::support::{Prepared, last_line, unique, up};

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    kafka.client().create().unwrap()
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Removes what lies before `offset`, as retention does.
fn forget(kafka: &Kafka, topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .unwrap();
    now(admin(kafka).delete_records(&list, &AdminOptions::new())).unwrap();
}

#[test]
fn a_partition_added_since_the_last_run_is_drained_and_an_empty_one_is_no_matter() {
    let mut dice = Dice::new("added");
    let kafka = shared::kafka(Version::V4_1);
    let mut ledger = Ledger::new("added", kafka, 1);
    ledger.produce(&mut dice, 0, 40, 10);
    ledger.drain().run().exits(0);
    let more = NewPartitions::new(&ledger.topic, 4);
    now(admin(kafka).create_partitions([&more], &AdminOptions::new())).unwrap();
    wait::until("the topic has four partitions", TIMEOUT, || {
        kafka.partitions(&ledger.topic) == 4
    });
    ledger.grow(4);
    ledger.produce(&mut dice, 0, 10, 10);
    ledger.produce(&mut dice, 2, 40, 10);
    ledger.drain().run().exits(0);
    ledger.everything_once();
    ledger.produce(&mut dice, 3, 10, 10);
    ledger.drain().run().exits(0);
    ledger.everything_once();
}

fn after_retention(reset: &str) -> (Ledger<'static>, sitewatch_tests::command::Finished) {
    let mut dice = Dice::new("retention");
    let kafka = shared::kafka(Version::V4_1);
    let mut ledger = Ledger::new("retention", kafka, 2);
    for partition in 0..2 {
        ledger.produce(&mut dice, partition, 30, 1_000_000);
    }
    ledger.drain().run().exits(0);
    ledger.everything_once();
    for partition in 0..2 {
        ledger.produce(&mut dice, partition, 50, 1_000_000);
    }
    forget(kafka, &ledger.topic, 1, 60);
    let finished = ledger.drain().var("DRAIN_OFFSET_RESET", reset).run();
    (ledger, finished)
}

fn losses(ledger: &Ledger<'_>) -> Vec<(i32, i64, i64)> {
    ledger
        .prepared
        .client()
        .query(
            "select partition, from_offset, to_offset from kafka_losses",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

#[test]
fn what_retention_removed_before_it_was_recorded_is_said_and_the_rest_is_recorded() {
    let (ledger, finished) = after_retention("earliest");
    finished
        .exits(0)
        .logs(&format!(r#"WARN  drain: {} partition 1: recording had got to offset 30, goes on at 60: Kafka's retention removed messages that were not recorded yet
INFO  drain: 70 checks recorded, 30 lost (see kafka_losses)
"#, ledger.topic));
    assert_eq!(losses(&ledger), [(1, 30, 60)]);
    assert_eq!(ledger.recorded(), 30 + 30 + 50 + 20);
    // Said once.
    let again = ledger.drain().run().exits(0);
    assert_eq!(last_line(&again.stderr), "0 checks recorded");
    assert_eq!(losses(&ledger).len(), 1);
}

#[test]
fn after_a_loss_a_person_may_want_the_newest_only() {
    let (ledger, finished) = after_retention("latest");
    let finished = finished.exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "50 checks recorded, 50 lost (see kafka_losses)"
    );
    assert_eq!(losses(&ledger), [(1, 30, 80)]);
}

#[test]
fn after_a_loss_a_person_may_want_to_decide() {
    let (ledger, finished) = after_retention("fail");
    finished
        .exits(78)
        .logs(&format!("ERROR drain: {} partition 1 was recorded up to offset 30, and Kafka goes on at 60: Kafka's retention removed messages that were not recorded yet; DRAIN_OFFSET_RESET=fail leaves it to you: earliest or latest goes on (exit code 78)\n", ledger.topic));
    assert_eq!(ledger.recorded(), 60);
    assert_eq!(losses(&ledger), []);
}

#[test]
fn a_loss_is_written_down_although_nothing_was_recorded_before() {
    let (ledger, finished) = after_retention("fail");
    finished.exits(78);
    let fresh = Prepared::new("retention");
    let finished = ledger
        .drain()
        .var("DATABASE_URL", fresh.url())
        .var("DRAIN_START", "group")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "70 checks recorded, 30 lost (see kafka_losses)"
    );
    assert_eq!(
        fresh.count(
            "select count(*) from kafka_losses
             where partition = 1 and from_offset = 30 and to_offset = 60"
        ),
        1
    );
    assert_eq!(
        fresh.count("select next_offset from kafka_offsets where partition = 1"),
        80
    );
}

#[test]
fn beginning_at_the_first_message_hides_no_loss() {
    let (ledger, finished) = after_retention("fail");
    finished.exits(78);
    let anew = || ledger.drain().var("DRAIN_START", "earliest");
    anew()
        .var("DRAIN_OFFSET_RESET", "fail")
        .run()
        .exits(78)
        .logs(&format!("ERROR drain: {} partition 1 was recorded up to offset 30, and Kafka goes on at 60: Kafka's retention removed messages that were not recorded yet; DRAIN_OFFSET_RESET=fail leaves it to you: earliest or latest goes on (exit code 78)\n", ledger.topic));
    assert_eq!(losses(&ledger), []);
    let finished = anew().run().exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "70 checks recorded, 30 repeated, 30 lost (see kafka_losses)"
    );
    assert_eq!(losses(&ledger), [(1, 30, 60)]);
    let again = anew().run().exits(0);
    assert_eq!(last_line(&again.stderr), "0 checks recorded, 100 repeated");
    assert_eq!(losses(&ledger).len(), 1);
}

#[test]
fn a_recreated_topic_is_read_from_its_beginning() {
    let kafka = shared::kafka(Version::V4_1);
    let mut dice = Dice::new("again");
    let mut ledger = Ledger::new("again", kafka, 1);
    ledger.produce(&mut dice, 0, 30, 1_000_000);
    ledger.drain().run().exits(0);
    recreate(&ledger);
    ledger.produce(&mut dice, 0, 10, 1_000_000);
    ledger
        .drain()
        .run()
        .exits(0)
        .logs(&format!(r#"WARN  drain: {} partition 0: recording had got to offset 30, goes on at 0: the topic was deleted and recreated
INFO  drain: 10 checks recorded
"#, ledger.topic));
    assert_eq!(ledger.recorded(), 40);
    assert_eq!(losses(&ledger), [(0, 30, 0)]);
}

/// Its offsets have passed the stored one again: only the topic's identity tells.
fn recreated_and_refilled(version: Version, client: &str) {
    let kafka = shared::kafka(version);
    let mut dice = Dice::new("refilled");
    let mut ledger = Ledger::new("refilled", kafka, 1);
    ledger.produce(&mut dice, 0, 30, 1_000_000);
    let drain = |ledger: &Ledger<'_>| ledger.drain().var("KAFKA_CLIENT", client).run();
    drain(&ledger).exits(0);
    recreate(&ledger);
    ledger.produce(&mut dice, 0, 50, 1_000_000);
    drain(&ledger)
        .exits(0)
        .logs(&format!(r#"WARN  drain: {} partition 0: recording had got to offset 30, goes on at 0: the topic was deleted and recreated
INFO  drain: 50 checks recorded
"#, ledger.topic));
    assert_eq!(ledger.recorded(), 80);
}

#[test]
fn a_topic_recreated_and_refilled_is_read_from_its_beginning() {
    recreated_and_refilled(Version::V4_1, "rdkafka");
}

#[test]
fn a_topic_recreated_and_refilled_is_read_from_its_beginning_by_the_pure_rust_client() {
    recreated_and_refilled(Version::V3_9, "kafka");
}

/// Both clients store the same id.
#[test]
fn one_client_knows_the_topic_that_the_other_has_drained() {
    let kafka = shared::kafka(Version::V3_9);
    let mut dice = Dice::new("either");
    let mut ledger = Ledger::new("either", kafka, 2);
    for client in ["kafka", "rdkafka", "kafka"] {
        ledger.produce(&mut dice, 0, 10, 1_000_000);
        ledger.produce(&mut dice, 1, 10, 1_000_000);
        ledger.drain().var("KAFKA_CLIENT", client).run().exits(0);
        ledger.everything_once();
    }
    assert_eq!(losses(&ledger), []);
    assert_eq!(
        ledger
            .prepared
            .count("select count(topic_id) from kafka_offsets"),
        2
    );
}

/// The run holds messages of the old topic while the new one grows past them.
#[test]
fn a_topic_recreated_during_a_run_of_the_pure_rust_client_loses_nothing_of_the_new_one() {
    let kafka = shared::kafka(Version::V3_9);
    let mut dice = Dice::new("meanwhile");
    let mut ledger = Ledger::new("meanwhile", kafka, 1);
    ledger.produce(&mut dice, 0, 12_000, 1_000_000);
    let drain = |ledger: &Ledger<'_>| {
        ledger
            .drain()
            .var("KAFKA_CLIENT", "kafka")
            .var("DRAIN_BATCH_SIZE", "100")
            // The new topic is filled while the run waits, which takes a while on a busy machine.
            .var("KAFKA_TIMEOUT", "60s")
            .var("DATABASE_LOCK_TIMEOUT", "2m")
            .var("DATABASE_STATEMENT_TIMEOUT", "2m")
    };
    let mut client = ledger.prepared.client();
    let mut lock = client.transaction().unwrap();
    lock.batch_execute("lock table checks in exclusive mode")
        .unwrap();
    let run = drain(&ledger).spawn();
    wait::until("the first batch waits", TIMEOUT, || {
        ledger.prepared.count(
            "select count(*) from pg_locks join pg_database on pg_database.oid = database
             where datname = current_database() and not granted",
        ) > 0
    });
    recreate(&ledger);
    let old = ledger.events();
    ledger.produce(&mut dice, 0, 24_000, 1_000_000);
    lock.rollback().unwrap();
    run.wait()
        .exits(69)
        .logs(&format!("ERROR drain: Kafka could not be read to the end: the topic {} was deleted, or deleted and recreated, during this run; the next run begins with what is there then (exit code 69)\n", ledger.topic));
    let of_old = ledger.recorded();
    assert!(of_old <= old, "{of_old} of {old}");
    drain(&ledger)
        .run()
        .exits(0)
        .stderr_has("the topic was deleted and recreated");
    assert_eq!(ledger.recorded(), of_old + 24_000);
}

fn recreate(ledger: &Ledger<'_>) {
    ledger.kafka.delete_topic(&ledger.topic);
    wait::until("the topic is gone", TIMEOUT, || {
        ledger.kafka.partitions(&ledger.topic) == 0
    });
    ledger.kafka.create_topic(&ledger.topic, 1);
}

#[test]
fn transactions_leave_holes_that_hide_nothing() {
    let kafka = shared::kafka(Version::V4_1);
    let mut dice = Dice::new("holes");
    let mut ledger = Ledger::new("holes", kafka, 2);
    let aborted: Vec<(String, Vec<u8>)> = (0..5)
        .map(|second| ("x".to_owned(), up("aborted", second).to_json()))
        .collect();
    // Nothing but an aborted transaction; then drained, so that the next run begins in a hole.
    kafka.transaction(&ledger.topic, 0, &aborted, End::Abort);
    ledger.skip(0, 6);
    ledger.drain().run().exits(0);
    ledger.everything_once();
    for _ in 0..2 {
        let batch = ledger.make(&mut dice, 0, 7, 5);
        kafka.transaction(&ledger.topic, 0, &batch, End::Commit);
        ledger.skip(0, 1);
        ledger.produce(&mut dice, 0, 3, 5);
        kafka.transaction(&ledger.topic, 0, &aborted, End::Abort);
        ledger.skip(0, 6);
    }
    ledger.produce(&mut dice, 1, 20, 5);
    // The very end: aborted messages, markers, nothing.
    ledger.drain().var("DRAIN_BATCH_SIZE", "4").run().exits(0);
    ledger.everything_once();
    // What is behind an open transaction belongs to a run after its end.
    let batch = ledger.make(&mut dice, 1, 5, 5);
    kafka.produce(&ledger.topic, 1, &batch);
    kafka.transaction(&ledger.topic, 1, &aborted, End::Never);
    kafka.produce(&ledger.topic, 1, &aborted);
    ledger.drain().run().exits(0);
    ledger.everything_once();
}

/// The pure-Rust client cannot tell messages of an aborted transaction from others.
#[test]
fn transactions_stop_the_pure_rust_client_before_it_records_one() {
    for end in [End::Abort, End::Commit] {
        let kafka = shared::kafka(Version::V3_9);
        let mut dice = Dice::new("transactions");
        let mut ledger = Ledger::new("transactions", kafka, 1);
        let drain = |ledger: &Ledger<'_>| ledger.drain().var("KAFKA_CLIENT", "kafka").run();
        ledger.produce(&mut dice, 0, 10, 1_000_000);
        drain(&ledger).exits(0);
        ledger.everything_once();
        let messages: Vec<(String, Vec<u8>)> = (0..5)
            .map(|second| ("x".to_owned(), up("stranger", second).to_json()))
            .collect();
        kafka.transaction(&ledger.topic, 0, &messages, end);
        kafka.produce(&ledger.topic, 0, &messages);
        for _ in 0..2 {
            drain(&ledger)
                .exits(78)
                .logs(&format!("ERROR drain: the topic {} is written in transactions (partition 0, offset 10), and KAFKA_CLIENT=kafka cannot tell their messages from those of aborted ones; set KAFKA_CLIENT=rdkafka (exit code 78)\n", ledger.topic));
            ledger.everything_once();
        }
    }
}

#[test]
fn what_is_behind_an_open_transaction_waits_for_its_end_with_the_pure_rust_client_too() {
    let kafka = shared::kafka(Version::V3_9);
    let mut dice = Dice::new("open");
    let mut ledger = Ledger::new("open", kafka, 1);
    ledger.produce(&mut dice, 0, 10, 1_000_000);
    let messages: Vec<(String, Vec<u8>)> = (0..5)
        .map(|second| ("x".to_owned(), up("stranger", second).to_json()))
        .collect();
    kafka.transaction(&ledger.topic, 0, &messages, End::Never);
    kafka.produce(&ledger.topic, 0, &messages);
    for _ in 0..2 {
        ledger.drain().var("KAFKA_CLIENT", "kafka").run().exits(0);
        ledger.everything_once();
    }
}

#[test]
fn compaction_leaves_gaps_that_hide_nothing() {
    let kafka = Kafka::options(Version::V4_1)
        .set("log.cleaner.backoff.ms", "50")
        .start();
    let topic = unique("compact");
    kafka.create_topic_with(
        &topic,
        1,
        &[
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("segment.ms", "100"),
            ("max.compaction.lag.ms", "100"),
        ],
    );
    let prepared = crate::support::Prepared::new("compact");
    let drain = || {
        prepared
            .drain()
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("DRAIN_BATCH_SIZE", "3")
    };
    let mut second = 0;
    // Three keys, so that few messages are left of many.
    let mut produce = |messages: i64| {
        let batch: Vec<(String, Vec<u8>)> = (0..messages)
            .map(|number| {
                second += 1;
                (
                    format!("k{}", number % 3),
                    up("a", 80_000 - second).to_json(),
                )
            })
            .collect();
        kafka.produce(&topic, 0, &batch);
    };
    produce(5);
    drain().run().exits(0);
    // The next run begins in the middle of what compaction then removes.
    produce(100);
    wait::until("compaction has removed messages", TIMEOUT, || {
        // A segment is only closed by a message after its time.
        produce(1);
        kafka.consume_all(&topic).len() < 60
    });
    let there: Vec<i64> = kafka
        .consume_all(&topic)
        .iter()
        .map(|record| record.offset)
        .filter(|offset| *offset >= 5)
        .collect();
    drain().run().exits(0);
    let recorded = prepared.count("select count(*) from checks") - 5;
    assert!(
        recorded <= there.len() as i64 && recorded >= 3,
        "{recorded} of {}",
        there.len()
    );
    assert_eq!(
        prepared.count("select next_offset from kafka_offsets"),
        kafka.end_offsets(&topic)[0]
    );
}
