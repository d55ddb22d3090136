//! The producer over the `kafka` crate: a queue, and a thread that empties it.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kafka::client::{KafkaClient, ProduceMessage, RequiredAcks};
use kafka::error::KafkaCode;
use openssl::ssl::SslConnector;

use super::queue::{Item, Queue};
use super::worker::Worker;
use super::{client, partitioner};
use crate::producer::ClientProducer;
use crate::{Delivery, KafkaError, KafkaSettings, Message};

const WHAT: &str = "store the message";

/// One request; a message that is larger goes alone. Keeps the memory of a request small, and far
/// below what any broker takes.
const BATCH_BYTES: usize = 256 * 1024;

/// Between two attempts.
const BACKOFF: Duration = Duration::from_millis(100);

pub(crate) struct Producer {
    worker: Worker,
    queue: Arc<Queue>,
    partitions: usize,
    settings: KafkaSettings,
}

impl Producer {
    pub(crate) fn connect(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let connector = client::prepare(settings)?;
        let sender = Sender {
            settings: settings.clone(),
            connector,
            queue: Arc::default(),
        };
        let queue = Arc::clone(&sender.queue);
        let timeout = settings.connect_timeout;
        let mut worker = client::start(settings, sender.connector.as_ref())?;
        let topic = settings.topic.clone();
        let partitions = worker.call("count the partitions", timeout, move |client| {
            client
                .topics()
                .partitions(&topic)
                .map_or(0, |partitions| partitions.len())
        })?;
        // Its answer is that it has ended; nobody waits for it.
        drop(worker.submit(move |client| sender.run(client)));
        Ok(Self {
            worker,
            queue,
            partitions,
            settings: settings.clone(),
        })
    }
}

impl ClientProducer for Producer {
    /// Without its time and headers: the protocol of Kafka 0.8 has neither.
    fn send(&mut self, id: u64, message: &Message<'_>) -> Result<(), KafkaError> {
        let partition = partitioner::partition(message.key, self.partitions);
        let item = Item {
            id,
            partition: i32::try_from(partition).unwrap_or(0),
            key: message.key.to_vec(),
            payload: message.payload.to_vec(),
        };
        let timeout = self.settings.connect_timeout;
        self.queue
            .push(item, Instant::now() + timeout)
            .map_err(|_| KafkaError::Timeout {
                what: "make room for another message",
                after: timeout,
            })
    }

    fn poll(&mut self) -> Vec<Delivery> {
        self.queue.take_deliveries()
    }

    fn finish(mut self: Box<Self>, deadline: Instant) -> Vec<Delivery> {
        if !self.queue.close(deadline) {
            self.queue.abandon(&KafkaError::Unreachable {
                brokers: self.settings.broker_list(),
                cause: "it was not acknowledged before the deadline".to_owned(),
            });
            self.worker.abandon();
        }
        self.queue.take_deliveries()
    }
}

impl Drop for Producer {
    /// The thread waits for messages until it is told that none will come.
    fn drop(&mut self) {
        if !self.queue.close(Instant::now()) {
            self.queue.abandon(&KafkaError::Timeout {
                what: WHAT,
                after: Duration::ZERO,
            });
            self.worker.abandon();
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("settings", &self.settings)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

/// The thread's side.
struct Sender {
    settings: KafkaSettings,
    connector: Option<SslConnector>,
    queue: Arc<Queue>,
}

impl Sender {
    fn open(&self) -> Result<KafkaClient, KafkaError> {
        client::open(&self.settings, self.connector.as_ref())
    }

    fn run(&self, client: &mut KafkaClient) {
        while let Some(mut batch) = self.queue.take(BATCH_BYTES) {
            while !batch.is_empty() {
                let outcome = self.produce(client, batch);
                self.queue.settle(outcome.settled, &outcome.again);
                batch = outcome.again;
                let Some(trouble) = outcome.trouble else {
                    continue;
                };
                // The messages may have been stored; sent again they are repeats, which their ids
                // make harmless.
                if !self.queue.note(trouble) {
                    return;
                }
                thread::sleep(BACKOFF);
                match self.open() {
                    Ok(opened) => *client = opened,
                    Err(error) => drop(self.queue.note(error)),
                }
            }
        }
    }

    /// Sends the messages in one request.
    fn produce(&self, client: &mut KafkaClient, batch: Vec<Arc<Item>>) -> Outcome {
        let topic = &self.settings.topic;
        let confirms = client.produce_messages(
            RequiredAcks::All,
            self.settings.connect_timeout,
            batch.iter().map(|item| {
                ProduceMessage::new(topic, item.partition, Some(&item.key), Some(&item.payload))
            }),
        );
        let confirms = match confirms {
            Ok(confirms) => confirms,
            Err(error) => {
                return Outcome {
                    settled: Vec::new(),
                    again: batch,
                    trouble: Some(client::failed(WHAT, &error, &self.settings)),
                };
            }
        };
        let verdict = |partition: i32| {
            let mut confirms = confirms.iter().flat_map(|topic| &topic.partition_confirms);
            confirms
                .find(|confirm| confirm.partition == partition)
                .map(|confirm| confirm.offset)
        };
        let alone = batch.len() == 1;
        let mut outcome = Outcome::default();
        let mut too_large_together = Vec::new();
        for item in batch {
            match verdict(item.partition) {
                Some(Ok(_)) => outcome.settled.push((item, Ok(()))),
                Some(Err(KafkaCode::MessageSizeTooLarge | KafkaCode::RecordListTooLarge))
                    if !alone =>
                {
                    too_large_together.push(item);
                }
                Some(Err(code)) if !client::is_passing(code) => {
                    let reason = client::code_failed(WHAT, code, &self.settings);
                    outcome.settled.push((item, Err(reason)));
                }
                passing => {
                    outcome.trouble = Some(match passing {
                        Some(Err(code)) => client::code_failed(WHAT, code, &self.settings),
                        _ => KafkaError::Failed {
                            what: WHAT,
                            cause: "it did not answer for its partition".to_owned(),
                        },
                    });
                    outcome.again.push(item);
                }
            }
        }
        // One message that is too large has the others of its request turned away as well.
        for item in too_large_together {
            let mut of_one = self.produce(client, vec![item]);
            outcome.settled.append(&mut of_one.settled);
            outcome.again.append(&mut of_one.again);
            outcome.trouble = of_one.trouble.or(outcome.trouble);
        }
        outcome
    }
}

#[derive(Default)]
struct Outcome {
    settled: Vec<(Arc<Item>, Result<(), KafkaError>)>,
    /// To be sent again, with why in `trouble`.
    again: Vec<Arc<Item>>,
    trouble: Option<KafkaError>,
}
