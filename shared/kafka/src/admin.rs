//! Topics: what `setup` and the tests create and delete.

#[cfg(feature = "client-rdkafka")]
use super::librdkafka;
use super::{KafkaError, KafkaSettings};

/// Creates and deletes topics.
#[derive(Debug)]
pub struct Admin(Inner);

#[derive(Debug)]
enum Inner {
    #[cfg(feature = "client-rdkafka")]
    Rdkafka(Box<librdkafka::Admin>),
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

#[cfg_attr(
    not(feature = "client-rdkafka"),
    expect(
        unused_variables,
        reason = "without librdkafka there is nobody to pass them to"
    )
)]
impl Admin {
    /// Connects, and proves that a broker answers; the topic of the settings need not exist.
    ///
    /// librdkafka does this whatever `settings.client` says: the `kafka` crate cannot.
    ///
    /// # Errors
    /// Any kind but `Partition` and `UnknownTopic`; `Configuration` in a build without librdkafka.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        #[cfg(feature = "client-rdkafka")]
        return librdkafka::Admin::connect(settings).map(|it| Self(Inner::Rdkafka(Box::new(it))));
        #[cfg(not(feature = "client-rdkafka"))]
        return Err(KafkaError::Configuration {
            what: "this build cannot create or delete topics, which takes the feature \
                   client-rdkafka; use kafka-topics.sh, which comes with Kafka"
                .into(),
        });
    }

    /// How many partitions the topic has, `None` when there is no such topic.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`, `Timeout`, `Failed`, `Configuration` for an impossible name.
    pub fn partition_count(&self, topic: &str) -> Result<Option<usize>, KafkaError> {
        match self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(ref admin) => admin.partition_count(topic),
        }
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
        match self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(ref admin) => {
                admin.create_topic(topic, partitions, replication, configs)
            }
        }
    }

    /// Deletes the topic and all it holds.
    ///
    /// # Errors
    /// `Failed` with the broker's objection, `Refused`, `Unreachable`.
    pub fn delete_topic(&self, topic: &str) -> Result<Deleted, KafkaError> {
        match self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(ref admin) => admin.delete_topic(topic),
        }
    }
}
