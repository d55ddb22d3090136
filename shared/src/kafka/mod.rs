//! Kafka: one small interface over two clients.

mod settings;

pub use settings::{Client, KafkaSettings, Mechanism, Protocol, Sasl, Security};
