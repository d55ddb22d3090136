//! Topics made and removed, and where groups stand, without the cost of a Java process.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};

use super::Kafka;
use crate::wait;

/// What a running broker is given to answer; far more than it needs.
pub(super) const TIMEOUT: Duration = Duration::from_secs(180);

/// Settings of a topic, by name: `[("max.message.bytes", "2000000")]`.
pub type TopicSettings<'a> = &'a [(&'a str, &'a str)];

impl Kafka {
    /// The settings of an rdkafka client that reaches [`Kafka::bootstrap`]; for what the helpers
    /// here do not do.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("broker.address.family", "v4")
            // Without these a client that meets a starting broker waits longer than its start.
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .set("enable.sparse.connections", "false");
        config
    }

    /// Makes a topic.
    ///
    /// # Panics
    /// When the broker refuses, for example because it exists.
    #[track_caller]
    pub fn create_topic(&self, name: &str, partitions: u16) {
        self.create_topic_with(name, partitions, &[]);
    }

    /// Makes a topic with settings of its own.
    ///
    /// # Panics
    /// When the broker refuses.
    #[track_caller]
    pub fn create_topic_with(&self, name: &str, partitions: u16, settings: TopicSettings<'_>) {
        let replication = TopicReplication::Fixed(1);
        let mut topic = NewTopic::new(name, i32::from(partitions), replication);
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        let admin = self.admin();
        let results = wait_for(admin.create_topics([&topic], &AdminOptions::new()));
        all_succeeded("create", &results.expect("ask Kafka to create a topic"));
        self.wait_for_leaders(name, usize::from(partitions));
    }

    /// Makes a topic in a cluster of two. Each partition is on both brokers and led by `leader` as
    /// long as that runs: 1 is the cluster's first broker, 2 the one that joined.
    ///
    /// # Panics
    /// When the brokers refuse.
    #[track_caller]
    pub fn create_topic_led_by(&self, leader: i32, name: &str, partitions: u16) {
        let replicas = [leader, 3 - leader];
        let assignment = vec![replicas.as_slice(); usize::from(partitions)];
        let replication = TopicReplication::Variable(&assignment);
        let topic = NewTopic::new(name, i32::from(partitions), replication);
        let results = wait_for(self.admin().create_topics([&topic], &AdminOptions::new()));
        all_succeeded("create", &results.expect("ask Kafka to create a topic"));
        self.wait_for_leaders(name, usize::from(partitions));
    }

    /// The controller answers before the brokers know of a new topic.
    #[track_caller]
    fn wait_for_leaders(&self, topic: &str, partitions: usize) {
        wait::until("the new topic is led", TIMEOUT, || {
            let leaders = self.leaders(topic);
            leaders.len() == partitions && leaders.iter().all(Option::is_some)
        });
    }

    /// Who leads each partition of a topic; `None`: nobody at the moment.
    #[track_caller]
    pub fn leaders(&self, topic: &str) -> Vec<Option<i32>> {
        let consumer: BaseConsumer = self.client().create().expect("make a consumer");
        let metadata = consumer
            .fetch_metadata(Some(topic), TIMEOUT)
            .expect("ask Kafka for the leaders of a topic");
        metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|partition| Some(partition.leader()).filter(|leader| *leader > 0))
            .collect()
    }

    /// How many brokers the cluster has.
    #[track_caller]
    pub fn brokers(&self) -> usize {
        let consumer: BaseConsumer = self.client().create().expect("make a consumer");
        let metadata = consumer
            .fetch_metadata(None, TIMEOUT)
            .expect("ask Kafka for its brokers");
        metadata.brokers().len()
    }

    /// Removes a topic.
    ///
    /// # Panics
    /// When the broker refuses, for example because there is none of that name.
    #[track_caller]
    pub fn delete_topic(&self, name: &str) {
        let admin = self.admin();
        let results = wait_for(admin.delete_topics(&[name], &AdminOptions::new()));
        all_succeeded("delete", &results.expect("ask Kafka to delete a topic"));
    }

    /// How many partitions a topic has; 0 when there is no such topic.
    #[track_caller]
    pub fn partitions(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.client().create().expect("make a consumer");
        partitions(&consumer, topic)
    }

    /// The offset the next message of each partition will have.
    #[track_caller]
    pub fn end_offsets(&self, topic: &str) -> Vec<i64> {
        let consumer: BaseConsumer = self.client().create().expect("make a consumer");
        (0..partitions(&consumer, topic))
            .map(|partition| {
                let (_, end) = consumer
                    .fetch_watermarks(topic, partition as i32, TIMEOUT)
                    .expect("ask Kafka for the end of a partition");
                end
            })
            .collect()
    }

    /// What a group has committed for a topic: partition and offset. Partitions it has committed
    /// nothing for are absent.
    #[track_caller]
    pub fn group_offsets(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", group)
            .create()
            .expect("make a consumer");
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, partitions(&consumer, topic) as i32 - 1);
        consumer
            .committed_offsets(asked, TIMEOUT)
            .expect("ask Kafka for the offsets of a group")
            .elements()
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.partition(), offset)),
                _ => None,
            })
            .collect()
    }

    /// Forgets what a group has committed, as Kafka does when nobody of it has been there for a while.
    ///
    /// # Panics
    /// When the broker refuses, for example because a member is there.
    #[track_caller]
    pub fn forget_group(&self, group: &str) {
        let admin = self.admin();
        let results = wait_for(admin.delete_groups(&[group], &AdminOptions::new()));
        for result in results.expect("ask Kafka to forget a group") {
            if let Err((group, error)) = result {
                panic!("cannot forget the group {group}: {error}");
            }
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("make an admin client")
    }
}

/// How many partitions a topic has; 0 when there is no such topic.
pub(super) fn partitions(consumer: &BaseConsumer, topic: &str) -> usize {
    consumer
        .fetch_metadata(Some(topic), TIMEOUT)
        .expect("ask Kafka for the partitions of a topic")
        .topics()
        .iter()
        .find(|found| found.name() == topic)
        .map_or(0, |found| found.partitions().len())
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("make a runtime")
        .block_on(future)
}

#[track_caller]
fn all_succeeded(purpose: &str, results: &[TopicResult]) {
    for result in results {
        if let Err((topic, error)) = result {
            panic!("cannot {purpose} the topic {topic}: {error}");
        }
    }
}
