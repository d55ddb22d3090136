//! Which client speaks to the brokers: of those that this build has, the one that `KAFKA_CLIENT`
//! asks for. Whoever holds a producer or a reader does not know.

use super::admin::Admin;
use super::producer::{ClientProducer, Producer};
use super::reader::{ClientReader, Reader};
use super::{Client, KafkaError, KafkaSettings};

#[cfg(not(any(feature = "client-rdkafka", feature = "client-kafka")))]
compile_error!("Kafka needs a client: enable the feature client-rdkafka, client-kafka or both");

type Connect<T> = fn(&KafkaSettings) -> Result<Box<T>, KafkaError>;

/// How a client connects.
struct Roles {
    producer: Connect<dyn ClientProducer>,
    reader: Connect<dyn ClientReader>,
}

fn roles(client: Client) -> Result<Roles, KafkaError> {
    match client {
        #[cfg(feature = "client-rdkafka")]
        Client::Rdkafka => Ok(Roles {
            producer: |settings| Ok(Box::new(super::librdkafka::Producer::connect(settings)?)),
            reader: |settings| Ok(Box::new(super::librdkafka::Reader::connect(settings)?)),
        }),
        #[cfg(feature = "client-kafka")]
        Client::Kafka => Ok(Roles {
            producer: |settings| Ok(Box::new(super::kafka_rust::Producer::connect(settings)?)),
            reader: |settings| Ok(Box::new(super::kafka_rust::Reader::connect(settings)?)),
        }),
        #[allow(unreachable_patterns, reason = "reachable when one client is left out")]
        client => Err(not_compiled_in(client)),
    }
}

fn not_compiled_in(client: Client) -> KafkaError {
    let (name, other) = match client {
        Client::Rdkafka => ("rdkafka", "kafka"),
        Client::Kafka => ("kafka", "rdkafka"),
    };
    KafkaError::Configuration {
        what: format!(
            "KAFKA_CLIENT={name} is not part of this build; set KAFKA_CLIENT={other}, \
             or build with the feature client-{name}"
        ),
    }
}

impl Producer {
    /// Connects, and proves that a broker answers and has the topic.
    ///
    /// # Errors
    /// Any kind but `Partition`; after `connect_timeout` at the latest.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        (roles(settings.client)?.producer)(settings).map(Self)
    }
}

impl Reader {
    /// Connects, and proves that a broker answers and has the topic.
    ///
    /// # Errors
    /// Any kind but `Partition`; after `connect_timeout` at the latest.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        (roles(settings.client)?.reader)(settings).map(Self)
    }
}

impl Admin {
    /// Connects, and proves that a broker answers; the topic of the settings need not exist.
    ///
    /// librdkafka does this whatever `settings.client` says: the `kafka` crate cannot.
    ///
    /// # Errors
    /// Any kind but `Partition` and `UnknownTopic`; `Configuration` in a build without librdkafka.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        match settings {
            #[cfg(feature = "client-rdkafka")]
            settings => Ok(Self(Box::new(super::librdkafka::Admin::connect(settings)?))),
            #[cfg(not(feature = "client-rdkafka"))]
            _ => Err(KafkaError::Configuration {
                what: "this build cannot create or delete topics, which takes the feature \
                       client-rdkafka; use kafka-topics.sh, which comes with Kafka"
                    .into(),
            }),
        }
    }
}
