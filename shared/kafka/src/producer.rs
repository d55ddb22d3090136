//! Publishing: queue messages, learn the fate of each.

use std::time::Instant;

#[cfg(feature = "client-kafka")]
use super::kafka_rust;
#[cfg(feature = "client-rdkafka")]
use super::librdkafka;
use super::{Client, KafkaError, KafkaSettings};

/// Publishes messages to one topic.
///
/// Every message that [`send`](Self::send) accepts comes back as exactly one [`Delivery`], from
/// [`poll`](Self::poll) or at the latest from [`finish`](Self::finish). A message that failed comes
/// back whole, so that it can be kept elsewhere. Dropping a producer gives up what it still holds.
#[derive(Debug)]
pub struct Producer(Inner);

#[derive(Debug)]
enum Inner {
    #[cfg(feature = "client-rdkafka")]
    Rdkafka(librdkafka::Producer),
    #[cfg(feature = "client-kafka")]
    Kafka(Box<kafka_rust::Producer>),
}

/// The fate of one message.
#[derive(Debug)]
pub struct Delivery {
    /// The number given to [`Producer::send`].
    pub id: u64,
    /// `Ok`: acknowledged by every in-sync replica.
    pub result: Result<(), Box<Undelivered>>,
}

/// A message that Kafka did not acknowledge. It may have been stored all the same, when only the
/// acknowledgement was lost.
#[derive(Debug)]
pub struct Undelivered {
    /// Why.
    pub reason: KafkaError,
    /// The key, as sent.
    pub key: Vec<u8>,
    /// The payload, as sent.
    pub payload: Vec<u8>,
}

impl Producer {
    /// Connects, and proves that a broker answers and has the topic.
    ///
    /// # Errors
    /// Any kind but `Partition`; after `connect_timeout` at the latest.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        match settings.client {
            #[cfg(feature = "client-rdkafka")]
            Client::Rdkafka => librdkafka::Producer::connect(settings)
                .map(Inner::Rdkafka)
                .map(Self),
            #[cfg(feature = "client-kafka")]
            Client::Kafka => kafka_rust::Producer::connect(settings)
                .map(|producer| Self(Inner::Kafka(Box::new(producer)))),
            #[allow(unreachable_patterns, reason = "reachable when one client is left out")]
            client => Err(super::not_compiled_in(client)),
        }
    }

    /// Queues one message. Returns at once unless the queue is full; then it waits for room, for
    /// as long as the broker may take to answer.
    ///
    /// # Errors
    /// The message was not taken and `id` gets no delivery: `Timeout` when no room was made,
    /// `Failed` for a message that can never be sent, such as one that is too large.
    pub fn send(&mut self, id: u64, key: &[u8], payload: &[u8]) -> Result<(), KafkaError> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(producer) => producer.send(id, key, payload),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(producer) => producer.send(id, key, payload),
        }
    }

    /// Returns what became known since the last call, without waiting.
    pub fn poll(&mut self) -> Vec<Delivery> {
        match &mut self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(producer) => producer.poll(),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(producer) => producer.poll(),
        }
    }

    /// Waits until everything is acknowledged or `deadline` has passed, gives up what is left, and
    /// closes. With what [`poll`](Self::poll) returned before, every accepted message is accounted
    /// for.
    #[must_use = "what was not delivered is in here, and nowhere else"]
    pub fn finish(self, deadline: Instant) -> Vec<Delivery> {
        match self.0 {
            #[cfg(feature = "client-rdkafka")]
            Inner::Rdkafka(producer) => producer.finish(deadline),
            #[cfg(feature = "client-kafka")]
            Inner::Kafka(producer) => producer.finish(deadline),
        }
    }
}
