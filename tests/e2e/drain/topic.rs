//! What is pending on the topic: planned, recorded, told to Kafka's tools.

use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::shared;

use crate::support::{Prepared, down, last_line, unique, up};

/// A topic of its own, a database of its own, and a client.
struct Story {
    kafka: &'static Kafka,
    topic: String,
    group: String,
    prepared: Prepared,
}

impl Story {
    fn new(version: Version, partitions: u16) -> Self {
        let kafka = shared::kafka(version);
        let topic = unique("drain");
        kafka.create_topic(&topic, partitions);
        Self {
            kafka,
            group: unique("group"),
            topic,
            prepared: Prepared::new("drain"),
        }
    }

    fn produce(&self, partition: i32, events: &[sitewatch::event::CheckEvent<'_>]) {
        let messages: Vec<(String, Vec<u8>)> = events
            .iter()
            .map(|event| (event.site.to_string(), event.to_json()))
            .collect();
        self.kafka.produce(&self.topic, partition, &messages);
    }

    fn drain(&self) -> Run {
        self.prepared
            .drain()
            .var("KAFKA_BROKERS", self.kafka.bootstrap())
            .var("KAFKA_TOPIC", &self.topic)
            .var("KAFKA_GROUP_ID", &self.group)
    }
}

fn everything_pending_is_recorded_once(version: Version, client: &str) {
    let story = Story::new(version, 3);
    let drain = || {
        last_line(
            &story
                .drain()
                .var("KAFKA_CLIENT", client)
                .run()
                .exits(0)
                .stderr,
        )
    };
    assert_eq!(drain(), "0 checks recorded");
    story.produce(0, &[up("a", 60), down("a", 30)]);
    story.produce(2, &[up("b", 60)]);
    assert_eq!(drain(), "3 checks recorded");
    assert_eq!(drain(), "0 checks recorded");
    story.produce(0, &[up("a", 1)]);
    assert_eq!(drain(), "1 check recorded");
    assert_eq!(story.prepared.checks().len(), 4);

    let lag: Vec<(i32, Option<i64>, i64)> = story
        .kafka
        .group_lag(&story.group)
        .into_iter()
        .map(|lag| (lag.partition, lag.current, lag.end))
        .collect();
    assert!(
        lag.contains(&(0, Some(3), 3)) && lag.contains(&(2, Some(1), 1)),
        "{lag:?}"
    );
}

#[test]
fn everything_pending_is_recorded_once_on_3_9() {
    everything_pending_is_recorded_once(Version::V3_9, "rdkafka");
}

#[test]
fn everything_pending_is_recorded_once_on_4_1() {
    everything_pending_is_recorded_once(Version::V4_1, "rdkafka");
}

#[test]
fn everything_pending_is_recorded_once_on_3_9_by_the_pure_rust_client() {
    everything_pending_is_recorded_once(Version::V3_9, "kafka");
}

#[test]
fn small_batches_and_two_workers_record_the_same() {
    let story = Story::new(Version::V4_1, 4);
    for partition in 0..4 {
        let events: Vec<_> = (0..250)
            .map(|second| up(&format!("site{partition}"), second))
            .collect();
        story.produce(partition, &events);
    }
    let finished = story
        .drain()
        .var("DRAIN_BATCH_SIZE", "7")
        .var("LOG_FORMAT", "json")
        .run()
        .exits(0);
    let line: serde_json::Value =
        serde_json::from_str(finished.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(line["recorded"], 1_000);
    assert_eq!(line["batches"], 4 * 36);
    assert_eq!(line["exit_code"], 0);
    assert_eq!(story.prepared.checks().len(), 1_000);
}

#[test]
fn what_retention_removed_is_said_and_written_down() {
    let story = Story::new(Version::V4_1, 1);
    story.produce(0, &[up("a", 60), up("a", 50)]);
    story.drain().run().exits(0);
    // As if recording had got further than Kafka has, that is, the topic was recreated.
    story
        .prepared
        .client()
        .batch_execute("update kafka_offsets set next_offset = 100")
        .unwrap();
    story
        .drain()
        .var("DRAIN_OFFSET_RESET", "fail")
        .run()
        .exits(78)
        .logs(&format!("ERROR drain: {} partition 0 was recorded up to offset 100, and Kafka goes on at 0: the topic was deleted and recreated; DRAIN_OFFSET_RESET=fail leaves it to you: earliest or latest goes on (exit code 78)\n", story.topic));
    let finished = story.drain().run().exits(0);
    assert!(
        finished
            .stderr
            .contains("the topic was deleted and recreated"),
        "{}",
        finished.stderr
    );
    assert_eq!(last_line(&finished.stderr), "0 checks recorded, 2 repeated");
    assert_eq!(story.prepared.count("select count(*) from kafka_losses"), 1);
}

#[test]
fn a_topic_that_is_not_there_is_a_wrong_configuration() {
    let story = Story::new(Version::V4_1, 1);
    story
        .drain()
        .var("KAFKA_TOPIC", "no-such-topic")
        .run()
        .exits(78)
        .logs(r#"ERROR drain: Kafka has no topic "no-such-topic"; run `setup` to create it, or mend KAFKA_TOPIC (exit code 78)
"#);
}

#[test]
fn servers_that_are_not_there_are_named_in_one_sentence() {
    let story = Story::new(Version::V4_1, 1);
    let nobody = sitewatch_tests::port::reserve();
    story
        .drain()
        .var("KAFKA_BROKERS", format!("127.0.0.1:{nobody}"))
        .var("KAFKA_TIMEOUT", "2s")
        .run()
        .exits(69)
        .logs(&format!("ERROR drain: cannot reach Kafka at 127.0.0.1:{nobody}: Connection refused; check KAFKA_BROKERS and that the broker is running (exit code 69)\n"));
    story
        .drain()
        .var("DATABASE_URL", format!("postgres://sitewatch:hunter2@127.0.0.1:{nobody}/x"))
        .run()
        .exits(69)
        .logs(&format!("ERROR drain: cannot reach PostgreSQL at 127.0.0.1:{nobody} as sitewatch: Connection refused (os error 111); check that it runs there and that DATABASE_URL (or DATABASE_HOST, DATABASE_PORT) is right (exit code 69)\n"));
    story
        .drain()
        .var(
            "DATABASE_URL",
            story
                .prepared
                .url()
                .replacen("sitewatch:", "sitewatch:hunter2", 1),
        )
        .run()
        .exits(69)
        .logs(&format!(r#"ERROR drain: PostgreSQL at 127.0.0.1:{} refused role sitewatch: password authentication failed for user "sitewatch"; check DATABASE_URL (or DATABASE_USER, DATABASE_PASSWD, DATABASE_DB) (exit code 69)
"#, shared::postgres().port()));
}
