//! Publishing: queue messages, learn the fate of each.

use std::fmt::Debug;
use std::time::Instant;

use super::KafkaError;

/// Publishes messages to one topic.
///
/// Every message that [`send`](Self::send) accepts comes back as exactly one [`Delivery`], from
/// [`poll`](Self::poll) or at the latest from [`finish`](Self::finish). A message that failed comes
/// back whole, so that it can be kept elsewhere. Dropping a producer gives up what it still holds.
#[derive(Debug)]
pub struct Producer(pub(super) Box<dyn ClientProducer>);

/// What a client does for [`Producer`], whose methods say what each means.
pub(super) trait ClientProducer: Debug + Send {
    fn send(&mut self, id: u64, message: &Message<'_>) -> Result<(), KafkaError>;
    fn poll(&mut self) -> Vec<Delivery>;
    fn finish(self: Box<Self>, deadline: Instant) -> Vec<Delivery>;
}

/// A message to be published.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What decides its partition.
    pub key: &'a [u8],
    /// Its content.
    pub payload: &'a [u8],
    /// The time of what it tells, in milliseconds since 1970; `None`: that of sending it, which it
    /// also gets when the broker does not take this one. The `kafka` client writes no time.
    pub timestamp_ms: Option<i64>,
    /// Name and value of each header. The `kafka` client writes none.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> Message<'a> {
    /// A message without a time of its own and without headers.
    #[must_use]
    pub fn new(key: &'a [u8], payload: &'a [u8]) -> Self {
        Self {
            key,
            payload,
            timestamp_ms: None,
            headers: &[],
        }
    }
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
    /// Queues one message. Returns at once unless the queue is full; then it waits for room, for
    /// as long as the broker may take to answer.
    ///
    /// # Errors
    /// The message was not taken and `id` gets no delivery: `Timeout` when no room was made,
    /// `Failed` for a message that can never be sent, such as one that is too large.
    pub fn send(&mut self, id: u64, message: &Message<'_>) -> Result<(), KafkaError> {
        self.0.send(id, message)
    }

    /// Returns what became known since the last call, without waiting.
    pub fn poll(&mut self) -> Vec<Delivery> {
        self.0.poll()
    }

    /// Waits until everything is acknowledged or `deadline` has passed, gives up what is left, and
    /// closes. With what [`poll`](Self::poll) returned before, every accepted message is accounted
    /// for.
    #[must_use = "what was not delivered is in here, and nowhere else"]
    pub fn finish(self, deadline: Instant) -> Vec<Delivery> {
        self.0.finish(deadline)
    }
}
