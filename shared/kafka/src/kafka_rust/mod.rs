//! The client over the crate `kafka` (the project kafka-rust): the protocol of Kafka 0.8 and 0.9,
//! which brokers understand up to 3.9. `README.md` beside this says what it cannot promise.

mod answer;
mod client;
mod connection;
mod fetching;
mod guard;
mod partitioner;
mod preflight;
mod producer;
mod queue;
mod reader;
mod record;
mod wire;
mod worker;

pub(super) use producer::Producer;
pub(super) use reader::Reader;
pub(super) use record::Record;
