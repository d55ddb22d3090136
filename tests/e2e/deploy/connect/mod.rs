//! The recipes of `k8s/connect` on a real Kafka Connect and Telegraf: `tests/run.sh connect`, and a job
//! of CI of its own. `tests/run.sh` leaves it out: it fetches what nothing else needs.

mod indexed;
mod influxdb;
mod opensearch;
mod postgresql;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;
use sitewatch_tests::connect::Connect;
use sitewatch_tests::kafka::{Kafka, Version};
use sitewatch_tests::websites::Website;
use sitewatch_tests::{shared, wait};

use crate::documents::root;
use crate::support::unique;

/// Seconds, and several times that where a worker in Java has little of the CPU.
const PASSED_ON: Duration = Duration::from_secs(180);

const SITES: usize = 10;
const ROUNDS: usize = 2;
const NO_JSON: &str = "no JSON";
const NO_EVENT: &str = r#"{"no":"event"}"#;

fn is_check(payload: &[u8]) -> bool {
    CheckEvent::decode(payload).is_ok()
}

/// What a topic of ours may hold, and what it should not.
struct Topic {
    kafka: &'static Kafka,
    name: String,
}

impl Topic {
    /// Two rounds of checks, of which a few are there twice, and messages that are none: no JSON, no
    /// event, nothing.
    fn new() -> Self {
        let kafka = shared::kafka(Version::V4_1);
        let name = unique("connect");
        kafka.create_topic(&name, 2);
        let website = Website::up("x");
        let sites: Vec<Value> = (0..SITES)
            .map(|number| {
                json!({
                    "name": format!("site {number}, \"Zürich\""),
                    "url": website.url(),
                    "labels": {"team": "web"},
                })
            })
            .collect();
        for _ in 0..ROUNDS {
            Run::probe()
                .var("SITES", Value::from(sites.clone()).to_string())
                .var("KAFKA_BROKERS", kafka.bootstrap())
                .var("KAFKA_TOPIC", &name)
                .run()
                .exits(0);
        }
        let topic = Self { kafka, name };
        let again: Vec<(Vec<u8>, Vec<u8>)> = kafka
            .consume_all(&topic.name)
            .into_iter()
            .filter(|record| record.partition == 0)
            .map(|record| (record.key.unwrap(), record.payload.unwrap()))
            .collect();
        kafka.produce(&topic.name, 0, &again);
        kafka.produce(&topic.name, 1, &[("site", NO_JSON), ("site", NO_EVENT)]);
        topic.tombstone();
        topic
    }

    fn tombstone(&self) {
        let producer: BaseProducer = self.kafka.client().create().unwrap();
        let record = BaseRecord::<str, ()>::to(&self.name).key("site");
        producer
            .send(record.partition(1))
            .map_err(|(error, _)| error)
            .unwrap();
        producer.flush(wait::SOON).unwrap();
    }

    /// Its checks in the order of their ids, each once.
    fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = self
            .kafka
            .consume_all(&self.name)
            .iter()
            .filter_map(|record| {
                let payload = record.payload.as_deref()?;
                is_check(payload).then(|| serde_json::from_slice(payload).unwrap())
            })
            .collect();
        events.sort_by_key(|event| event["id"].to_string());
        events.dedup();
        assert_eq!(events.len(), SITES * ROUNDS);
        events
    }

    /// Where a connector puts what is no check.
    fn dead_letters(&self) -> String {
        format!("{}-dead-letters", self.name)
    }

    /// Waits until a connector has passed on every check.
    #[track_caller]
    fn is_read(&self, connect: &Connect, connector: &str) {
        self.is_read_by(&format!("connect-{connector}"), || {
            let task = connect.task(connector).unwrap_or_default();
            assert!(
                !task.starts_with("FAILED"),
                "{task}\n{}",
                connect.log_tail()
            );
        });
    }

    /// Waits until a group has committed that it has passed on every check, and looks meanwhile whether
    /// it can still. Debezium's sink commits nothing for messages after the last one it could use.
    #[track_caller]
    fn is_read_by(&self, group: &str, look: impl Fn()) {
        let mut ends = BTreeMap::new();
        for record in self.kafka.consume_all(&self.name) {
            if record.payload.as_deref().is_some_and(is_check) {
                ends.insert(record.partition, record.offset + 1);
            }
        }
        wait::until("all checks are passed on", PASSED_ON, || {
            look();
            let offsets = self.kafka.group_offsets(group, &self.name);
            ends.iter()
                .all(|(partition, end)| offsets.get(partition) >= Some(end))
        });
    }

    /// A recipe of `k8s/connect` for this topic, on a broker that is alone.
    fn recipe(&self, name: &str, changes: &[(&str, &str)]) -> Value {
        let path = root().join("k8s/connect").join(name);
        let mut recipe: Value = fs::read_to_string(path).unwrap().parse().unwrap();
        let ours = [
            ("topics", self.name.as_str()),
            ("errors.deadletterqueue.topic.name", &self.dead_letters()),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
        ];
        for (key, value) in ours.iter().chain(changes) {
            assert!(recipe[key].is_string(), "{name} has no {key}");
            recipe[key] = json!(value);
        }
        recipe
    }
}
