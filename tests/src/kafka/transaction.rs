//! Messages written in a transaction: they leave offsets behind that no message is at.

use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};

use crate::wait;

use super::{
    Kafka,
    admin::TIMEOUT,
    messages::{Deliveries, send},
};

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its messages count, and a marker follows them.
    Commit,
    /// Its messages are in the log and do not count; a marker follows them as well.
    Abort,
    /// It stays open: readers of committed messages get no further than its first message.
    Never,
}

impl Kafka {
    /// Writes messages to one partition in one transaction.
    ///
    /// # Panics
    /// When the broker does not take them.
    #[track_caller]
    pub fn transaction<K: AsRef<[u8]>, P: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        records: &[(K, P)],
        end: End,
    ) {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let producer: BaseProducer<Deliveries> = self
            .client()
            // The identifier names this transaction only, so that it fences no other producer.
            .set("transactional.id", format!("{topic}-{partition}-{number}"))
            .set("linger.ms", "1")
            .create_with_context(Deliveries::default())
            .expect("make a producer");
        let reader: BaseConsumer = self
            .client()
            .set("isolation.level", "read_uncommitted")
            .create()
            .expect("make a consumer");
        let written = || {
            let (_, end) = reader
                .fetch_watermarks(topic, partition, TIMEOUT)
                .expect("ask Kafka for the end of a partition");
            end
        };
        let before = written();
        producer
            .init_transactions(TIMEOUT)
            .expect("prepare transactions");
        producer.begin_transaction().expect("begin a transaction");
        // Acknowledged before the end, or an abort would drop them before they were ever written.
        send(&producer, topic, partition, records);
        match end {
            End::Commit => producer.commit_transaction(TIMEOUT).expect("commit"),
            End::Abort => producer.abort_transaction(TIMEOUT).expect("abort"),
            End::Never => return,
        }
        // The coordinator answers before the marker is in the partition.
        let after = before + records.len() as i64 + 1;
        wait::until("the transaction's marker", TIMEOUT, || written() >= after);
    }
}
