//! Messages written and read by a client that is not the one under test.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::Headers as _,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::{
    Kafka,
    admin::{TIMEOUT, partitions},
};
use crate::wait;

/// How a batch of messages is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// Every codec of the protocol.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Its name in Kafka's settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// A message as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its payload; none for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Milliseconds since 1970; none when the topic has no time for it.
    pub timestamp_ms: Option<i64>,
    /// Name and value of each header.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The payload as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.payload.as_deref().unwrap_or_default()).into_owned()
    }
}

impl Kafka {
    /// Writes messages, keys and payloads, to one partition, in this order and uncompressed.
    ///
    /// # Panics
    /// When the broker does not acknowledge them all.
    #[track_caller]
    pub fn produce<K: AsRef<[u8]>, P: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        records: &[(K, P)],
    ) {
        self.produce_with(Codec::None, topic, partition, records);
    }

    /// Writes messages to one partition, in this order, compressed.
    ///
    /// # Panics
    /// When the broker does not acknowledge them all.
    #[track_caller]
    pub fn produce_with<K: AsRef<[u8]>, P: AsRef<[u8]>>(
        &self,
        codec: Codec,
        topic: &str,
        partition: i32,
        records: &[(K, P)],
    ) {
        let producer: BaseProducer<Deliveries> = self
            .client()
            .set("compression.type", codec.name())
            .set("linger.ms", "1")
            // What is sent again stays in its place: tests go by offsets.
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "100000000")
            .create_with_context(Deliveries::default())
            .expect("make a producer");
        send(&producer, topic, partition, records);
    }

    /// All messages of a topic from its beginning to its end as it is now, partition by partition.
    /// Those of aborted transactions are not among them.
    ///
    /// # Panics
    /// When the broker does not hand them out.
    #[track_caller]
    pub fn consume_all(&self, topic: &str) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .client()
            // The library assigns nothing without a group; this one commits nothing either.
            .set("group.id", "sitewatch-tests-reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "10")
            .create()
            .expect("make a consumer");
        let mut left = partitions(&consumer, topic);
        assert!(left > 0, "there is no topic {topic}");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..left {
            assignment
                .add_partition_offset(topic, partition as i32, Offset::Beginning)
                .expect("name a partition");
        }
        consumer.assign(&assignment).expect("assign the partitions");

        let mut records = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        while left > 0 {
            assert!(
                Instant::now() < deadline,
                "{topic} was not read to its end in {TIMEOUT:?}; {} messages came",
                records.len()
            );
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => records.push(Record {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    payload: message.payload().map(<[u8]>::to_vec),
                    timestamp_ms: message.timestamp().to_millis(),
                    headers: message.headers().map_or_else(Vec::new, |headers| {
                        let headers = headers.iter();
                        headers
                            .map(|it| (it.key.to_owned(), it.value.unwrap_or_default().to_vec()))
                            .collect()
                    }),
                }),
                Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
                Some(Err(error)) => panic!("cannot read {topic}: {error}"),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }
}

/// Sends the records and waits until the broker has acknowledged every one.
#[track_caller]
pub(super) fn send<K: AsRef<[u8]>, P: AsRef<[u8]>>(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    partition: i32,
    records: &[(K, P)],
) {
    for (key, payload) in records {
        let mut record = BaseRecord::to(topic)
            .partition(partition)
            .key(key.as_ref())
            .payload(payload.as_ref());
        while let Err((error, refused)) = producer.send(record) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            assert!(full, "cannot send to {topic}: {error}");
            record = refused;
            producer.poll(Duration::from_millis(1));
        }
    }
    // `flush` of the library waits in slices of 100 ms.
    wait::until("the broker to acknowledge messages", TIMEOUT, || {
        producer.poll(Duration::ZERO);
        producer.in_flight_count() == 0
    });
    let failed = producer.context().0.lock().expect("no callback panicked");
    if let Some(error) = &*failed {
        panic!("the broker did not take a message for {topic}: {error}");
    }
}

/// The first failure among the deliveries of a producer.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Option<KafkaError>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0
                .lock()
                .expect("no callback panicked")
                .get_or_insert_with(|| error.clone());
        }
    }
}
