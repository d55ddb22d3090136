//! The producer over librdkafka.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use super::watcher::{Ticket, TurnedAway, Watcher};
use super::{config, connect};
use crate::producer::ClientProducer;
use crate::{Delivery, KafkaError, KafkaSettings, LOG, Message};

/// Between two polls of the queue. `flush` and a `poll` that waits have a tenth of a second for
/// their shortest wait, or spin.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

const TAKE: &str = "take the message";

/// How long the reports of messages that were given up may take: they only cross from librdkafka's
/// threads to ours.
const PURGE_GRACE: Duration = Duration::from_secs(2);

pub(crate) struct Producer {
    client: BaseProducer<Watcher>,
    topic: String,
    /// How long `send` waits for room.
    timeout: Duration,
    /// Accepted messages without a delivery.
    outstanding: usize,
    /// Nothing is sent again any more.
    closing: bool,
}

impl Producer {
    pub(crate) fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let client: BaseProducer<Watcher> = config::producer(settings)?
            .create_with_context(Watcher::new(settings.broker_list()))
            .map_err(|error| config::rejected(&error, settings))?;
        connect::find_topic(client.client(), settings, || client.poll(Duration::ZERO))?;
        Ok(Self {
            client,
            topic: settings.topic.clone(),
            timeout: settings.connect_timeout,
            outstanding: 0,
            closing: false,
        })
    }

    fn watcher(&self) -> &Watcher {
        self.client.client().context()
    }

    /// Runs the callbacks, and sends what the broker turned away once more.
    fn serve(&self) {
        self.watcher().drain(|| self.client.poll(Duration::ZERO));
        for mut again in self.watcher().take_turned_away() {
            if !self.closing {
                match self.send_again(&mut again) {
                    Ok(()) => continue,
                    Err(reason) => again.message.reason = reason,
                }
            }
            self.watcher().report(again.ticket.id, Err(again.message));
        }
    }

    fn send_again(&self, again: &mut TurnedAway) -> Result<(), KafkaError> {
        let sent = self.client.send(record(
            &self.topic,
            again.ticket,
            &again.message.key,
            &again.message.payload,
            again.headers.take(),
        ));
        sent.map_err(|(error, _)| self.watcher().request_error(TAKE, &error))
    }
}

fn record<'a>(
    topic: &'a str,
    ticket: Ticket,
    key: &'a [u8],
    payload: &'a [u8],
    headers: Option<OwnedHeaders>,
) -> BaseRecord<'a, [u8], [u8], Box<Ticket>> {
    let mut record = BaseRecord::with_opaque_to(topic, Box::new(ticket))
        .key(key)
        .payload(payload);
    record.timestamp = ticket.timestamp_ms;
    record.headers = headers;
    record
}

fn owned(headers: &[(&str, &[u8])]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let room = OwnedHeaders::new_with_capacity(headers.len());
    Some(headers.iter().fold(room, |owned, (key, value)| {
        let value = Some(*value);
        owned.insert(Header { key, value })
    }))
}

impl ClientProducer for Producer {
    fn send(&mut self, id: u64, message: &Message<'_>) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.timeout;
        let ticket = Ticket {
            id,
            timestamp_ms: message.timestamp_ms,
        };
        let headers = owned(message.headers);
        let mut record = record(&self.topic, ticket, message.key, message.payload, headers);
        loop {
            let Err((error, returned)) = self.client.send(record) else {
                self.outstanding += 1;
                return Ok(());
            };
            if error.rdkafka_error_code() != Some(Code::QueueFull) {
                return Err(self.watcher().request_error(TAKE, &error));
            }
            if Instant::now() >= deadline {
                return Err(KafkaError::Timeout {
                    what: "make room for another message",
                    after: self.timeout,
                });
            }
            record = returned;
            self.serve();
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn poll(&mut self) -> Vec<Delivery> {
        self.serve();
        let deliveries = self.watcher().take_deliveries();
        self.outstanding -= deliveries.len();
        deliveries
    }

    fn finish(mut self: Box<Self>, deadline: Instant) -> Vec<Delivery> {
        let mut deliveries = self.poll();
        while self.outstanding > 0 && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
            deliveries.append(&mut self.poll());
        }
        if self.outstanding > 0 {
            self.closing = true;
            self.client.purge(PurgeConfig::default().queue().inflight());
            let grace = Instant::now() + PURGE_GRACE;
            deliveries.append(&mut self.poll());
            while self.outstanding > 0 && Instant::now() < grace {
                thread::sleep(POLL_INTERVAL);
                deliveries.append(&mut self.poll());
            }
        }
        if self.outstanding > 0 {
            log::error!(target: LOG, "{} messages are unaccounted for", self.outstanding);
        }
        deliveries
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("topic", &self.topic)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}
