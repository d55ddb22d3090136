//! The producer over librdkafka.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use super::watcher::Watcher;
use super::{config, connect};
use crate::producer::ClientProducer;
use crate::{Delivery, KafkaError, KafkaSettings, LOG};

/// Between two polls of the queue. `flush` and a `poll` that waits have a tenth of a second for
/// their shortest wait, or spin.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

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
        })
    }

    fn watcher(&self) -> &Watcher {
        self.client.client().context()
    }

    fn serve(&self) {
        self.watcher().drain(|| self.client.poll(Duration::ZERO));
    }
}

impl ClientProducer for Producer {
    fn send(&mut self, id: u64, key: &[u8], payload: &[u8]) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.timeout;
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(id))
            .key(key)
            .payload(payload);
        loop {
            let Err((error, returned)) = self.client.send(record) else {
                self.outstanding += 1;
                return Ok(());
            };
            if error.rdkafka_error_code() != Some(Code::QueueFull) {
                return Err(self.watcher().request_error("take the message", &error));
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
