//! Topics: what `setup` and the tests create and delete.

use std::fmt::Debug;

use super::KafkaError;

/// Creates and deletes topics.
#[derive(Debug)]
pub struct Admin(pub(super) Box<dyn ClientAdmin>);

/// What a client does for [`Admin`], whose methods say what each means.
pub(super) trait ClientAdmin: Debug + Send {
    fn partition_count(&self, topic: &str) -> Result<Option<usize>, KafkaError>;
    fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: i32,
        configs: &[(String, String)],
    ) -> Result<Created, KafkaError>;
    fn delete_topic(&self, topic: &str) -> Result<Deleted, KafkaError>;
}

/// What [`Admin::create_topic`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The topic is new.
    Created,
    /// The topic was there, with whatever partitions and settings it has.
    AlreadyThere,
}

/// What [`Admin::delete_topic`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The topic and its messages are gone.
    Deleted,
    /// There was no such topic.
    NotThere,
}

impl Admin {
    /// How many partitions the topic has, `None` when there is no such topic.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`, `Timeout`, `Failed`, `Configuration` for an impossible name.
    pub fn partition_count(&self, topic: &str) -> Result<Option<usize>, KafkaError> {
        self.0.partition_count(topic)
    }

    /// Creates the topic unless it is there; a topic that is there is left as it is.
    ///
    /// # Errors
    /// `Failed` with the broker's objection (replication, an unknown setting), `Refused`,
    /// `Unreachable`.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: i32,
        configs: &[(String, String)],
    ) -> Result<Created, KafkaError> {
        self.0.create_topic(topic, partitions, replication, configs)
    }

    /// Deletes the topic and all it holds.
    ///
    /// # Errors
    /// `Failed` with the broker's objection, `Refused`, `Unreachable`.
    pub fn delete_topic(&self, topic: &str) -> Result<Deleted, KafkaError> {
        self.0.delete_topic(topic)
    }
}
