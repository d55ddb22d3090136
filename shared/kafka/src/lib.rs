//! Kafka, as the functions need it: publish a few messages and leave, or read each partition up to
//! an end known beforehand and leave.
//!
//! [`Producer`], [`Reader`] and [`Admin`] hide two clients: librdkafka (crate `rdkafka`, the
//! default) and the pure-Rust crate `kafka`, for brokers up to 3.9. Both have traps that lose
//! messages, stall without an error or wait for minutes; each is avoided where it would occur.
//!
//! Three things hold for both clients. Every call ends within the time its settings allow. Every
//! message accepted by [`Producer::send`] gets exactly one [`Delivery`]. A [`Reader`] never skips a
//! message below the end of a range without saying so: it delivers it, says that it cannot be read, or
//! fails the partition.

mod environment;
mod error;
mod settings;

#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
mod admin;
#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
mod dial;
#[cfg(feature = "client-kafka")]
mod kafka_rust;
#[cfg(feature = "client-rdkafka")]
mod librdkafka;
#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
mod producer;
#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
mod progress;
#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
mod reader;
#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
mod tls;

pub use environment::KAFKA;
pub use error::KafkaError;
pub use settings::{Client, KafkaSettings, Mechanism, Protocol, Sasl, Security};

#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
pub use {
    admin::{Admin, Created, Deleted},
    producer::{Delivery, Producer, Undelivered},
    reader::{PartitionBounds, Polled, Range, Reader, Record},
};

/// The log target of this layer's own lines.
#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
const LOG: &str = "sitewatch::kafka";

#[cfg(any(feature = "client-rdkafka", feature = "client-kafka"))]
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
