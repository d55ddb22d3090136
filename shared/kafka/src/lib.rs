//! Kafka, as the functions need it: publish a few messages and leave, or read each partition up to
//! an end known beforehand and leave.
//!
//! [`Producer`], [`Reader`] and [`Admin`] hide two clients: librdkafka (crate `rdkafka`, the
//! default) and the pure-Rust crate `kafka`, for brokers up to 3.9. Both have traps that lose
//! messages, stall without an error or wait for minutes; each is worked around at the line that
//! meets it.
//!
//! Three things hold for both clients. Every call ends within the time its settings allow. Every
//! message accepted by [`Producer::send`] gets exactly one [`Delivery`]. A [`Reader`] never skips a
//! message below the end of a range without saying so: it delivers it, says that it cannot be read, or
//! fails the partition.

mod admin;
mod connect;
mod dial;
mod environment;
mod error;
#[cfg(feature = "client-kafka")]
mod kafka_rust;
#[cfg(feature = "client-rdkafka")]
mod librdkafka;
mod producer;
mod progress;
mod reader;
mod record;
mod settings;
mod tls;

pub use admin::{Admin, Created, Deleted};
pub use error::KafkaError;
pub use producer::{Delivery, Message, Producer, Undelivered};
pub use reader::{PartitionBounds, Polled, Range, Reader};
pub use record::Record;
pub use settings::{Client, KafkaSettings, Mechanism, Protocol, Sasl, Security};

/// The log target of this layer's own lines.
const LOG: &str = "sitewatch::kafka";
