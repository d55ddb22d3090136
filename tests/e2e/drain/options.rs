//! Where a drain begins, what it only shows, when it stops, and what it tries again.

use sitewatch::event::MAX_EVENT;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;
use sitewatch_tests::websites::Website;

use crate::support::{Prepared, last_line, unique, up};

fn filled(prefix: &str, messages: &[Vec<u8>]) -> (String, Prepared) {
    let topic = unique(prefix);
    let kafka = shared::kafka(Version::V4_1);
    kafka.create_topic(&topic, 1);
    let messages: Vec<_> = messages
        .iter()
        .map(|message| ("a", message.clone()))
        .collect();
    kafka.produce(&topic, 0, &messages);
    (topic, Prepared::new(prefix))
}

fn drain(prepared: &Prepared, topic: &str) -> Run {
    prepared
        .drain()
        .var("KAFKA_BROKERS", shared::kafka(Version::V4_1).bootstrap())
        .var("KAFKA_TOPIC", topic)
        .var("KAFKA_GROUP_ID", format!("{topic}-group"))
}

fn events(number: i64) -> Vec<Vec<u8>> {
    (0..number)
        .map(|second| up("a", second).to_json())
        .collect()
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let (topic, prepared) = filled("dry", &events(5));
    let heart = Website::up("ok");
    let shown = drain(&prepared, &topic)
        .var("DRAIN_DRY_RUN", "true")
        // Whoever waits for this hears of runs that did their work.
        .var("HEARTBEAT_URL", heart.url())
        .run()
        .exits(0);
    shown.clone().stdout_is(&format!(
        "partition     recorded          end      pending  {topic}\n        0        never            5            5\n"
    ));
    assert_eq!(
        last_line(&shown.stderr),
        "dry run: 5 offsets pending in 1 partitions, nothing changed"
    );
    assert!(heart.requests().is_empty());
    assert_eq!(prepared.count("select count(*) from kafka_offsets"), 0);
    assert_eq!(prepared.count("select count(*) from checks"), 0);
}

#[test]
fn a_fresh_database_may_go_on_where_the_group_was() {
    let (topic, first) = filled("start", &events(5));
    drain(&first, &topic).run().exits(0);
    let kafka = shared::kafka(Version::V4_1);
    kafka.produce(&topic, 0, &[("a", up("a", 100).to_json())]);

    let second = Prepared::new("start");
    let finished = drain(&second, &topic)
        .var("DRAIN_START", "group")
        .run()
        .exits(0);
    assert_eq!(last_line(&finished.stderr), "1 check recorded");
    let third = Prepared::new("start");
    let finished = drain(&third, &topic).run().exits(0);
    assert_eq!(last_line(&finished.stderr), "6 checks recorded");

    let again = drain(&third, &topic)
        .var("DRAIN_START", "earliest")
        .run()
        .exits(0);
    assert_eq!(last_line(&again.stderr), "0 checks recorded, 6 repeated");
    assert_eq!(third.count("select next_offset from kafka_offsets"), 6);
}

#[test]
fn a_topic_full_of_something_else_does_not_fill_the_disk() {
    let (topic, prepared) = filled("wrong", &vec![b"not ours".to_vec(); 100]);
    drain(&prepared, &topic)
        .var("DRAIN_BATCH_SIZE", "10")
        .var("DRAIN_MAX_DEAD_LETTERS", "30")
        .run()
        .exits(75)
        .logs(&format!("ERROR drain: more than DRAIN_MAX_DEAD_LETTERS=30 messages are no check events, the next one in partition 0 from offset 30 on: is {topic} the right topic? The rest is left (exit code 75)\n"));
    assert_eq!(prepared.count("select count(*) from dead_letters"), 30);
    assert_eq!(prepared.count("select next_offset from kafka_offsets"), 30);
}

#[test]
fn dead_letters_are_tried_again_and_leave_when_they_pass() {
    let mut messages = events(3);
    messages.push(b"never an event".to_vec());
    let (topic, prepared) = filled("replay", &messages);
    // Somebody's rule refuses all of them, until somebody else mends it.
    prepared
        .client()
        .batch_execute("alter table checks add constraint nothing_at_all check (total_us < 0)")
        .unwrap();
    drain(&prepared, &topic).run().exits(0);
    assert_eq!(prepared.count("select count(*) from dead_letters"), 4);
    let replay = || {
        let finished = prepared
            .drain()
            .var("DRAIN_REPLAY_DEAD_LETTERS", "true")
            .var("KAFKA_BROKERS", "nobody.invalid")
            .run()
            .exits(0);
        last_line(&finished.stderr)
    };
    assert_eq!(
        replay(),
        "0 dead letters recorded, 0 were recorded already, 4 cannot be recorded still"
    );
    prepared
        .client()
        .batch_execute("alter table checks drop constraint nothing_at_all")
        .unwrap();
    assert_eq!(
        replay(),
        "3 dead letters recorded, 0 were recorded already, 1 cannot be recorded still"
    );
    assert_eq!(prepared.count("select count(*) from checks"), 3);
    assert_eq!(
        prepared.reasons().into_values().collect::<Vec<_>>(),
        ["not a check event: expected ident at line 1 column 2"]
    );
}

#[test]
fn large_dead_letters_are_tried_a_few_at_a_time_and_all_of_them() {
    let prepared = Prepared::new("large");
    let mut client = prepared.client();
    for (number, event) in events(16).into_iter().enumerate() {
        let mut value = event;
        value.resize(MAX_EVENT, b' ');
        client
            .execute(
                "insert into dead_letters (value, reason) values ($1, 'a rule')",
                &[&value],
            )
            .unwrap();
        // A message may have no value at all.
        if number == 1 {
            client
                .batch_execute("insert into dead_letters (reason) values ('empty')")
                .unwrap();
        }
    }
    let finished = prepared
        .drain()
        .var("DRAIN_REPLAY_DEAD_LETTERS", "true")
        .var("KAFKA_BROKERS", "nobody.invalid")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "16 dead letters recorded, 0 were recorded already, 1 cannot be recorded still"
    );
    // A transaction holds as many as begin within 12 MiB.
    assert_eq!(
        prepared.count("select count(distinct xmin::text) from checks"),
        2
    );
}
