//! What the `kafka` crate's protocol is too old to show: whether the topic is still the one that it
//! was when the run began, where committed transactions end, and whether messages are part of one.
//!
//! The crate fetches in a format without transactions, and knows topics by name. So the batches'
//! heads of everything it has fetched are read once more, in today's format and by the topic's id,
//! before any of it is delivered: an answer for that id proves that the topic was not recreated
//! before, and each head says whether its batch belongs to a transaction.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use openssl::ssl::SslConnector;

use super::preflight;
use super::wire::{Answer, Request, Wire, compact_text, malformed};
use crate::{KafkaError, KafkaSettings, LOG};

/// The requests, and the versions that bring what we ask for. Kafka 3.1 was the first with all.
const FETCH: (i16, i16) = (1, 13);
const LIST_OFFSETS: (i16, i16) = (2, 2);
const METADATA: (i16, i16) = (3, 10);

/// What is asked of a partition at a time; only the batches' heads of it are kept.
const BYTES: i32 = 1024 * 1024;

/// Between two attempts while a partition changes its leader.
const BACKOFF: Duration = Duration::from_millis(100);

/// Attributes of a batch in a transaction, or of one that ends a transaction.
const TRANSACTIONAL: i16 = 0x10 | 0x20;

/// The part of a batch that says where it begins and ends and what it is.
const HEAD_BYTES: u64 = 61;

/// The protocol's codes that we tell apart.
mod code {
    pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub(super) const UNKNOWN_TOPIC_ID: i16 = 100;
    pub(super) const INCONSISTENT_TOPIC_ID: i16 = 103;
}

pub(super) struct Guard {
    settings: KafkaSettings,
    connector: Option<SslConnector>,
    /// By address.
    wires: BTreeMap<String, Wire>,
    topic: Topic,
}

/// What the brokers say of the topic.
#[derive(Default)]
struct Topic {
    id: [u8; 16],
    /// The address of each partition's leader.
    leaders: BTreeMap<i32, String>,
}

/// What a look at a partition found.
enum Look {
    /// Nothing but messages outside transactions below this offset.
    Clear(i64),
    /// A batch of a transaction begins here.
    Transaction(i64),
    /// Retention has removed the offset since; the crate's own answer tells.
    Removed,
    /// The topic of this id is gone.
    Gone,
    /// The partition's broker has an objection that may pass.
    Unsettled(i16),
}

impl Guard {
    /// `None` where the brokers are older than what we ask for.
    pub(super) fn begin(
        settings: &KafkaSettings,
        connector: Option<&SslConnector>,
    ) -> Result<Option<Self>, KafkaError> {
        let mut guard = Self {
            settings: settings.clone(),
            connector: connector.cloned(),
            wires: BTreeMap::new(),
            topic: Topic::default(),
        };
        // Some may be away, and the client has found one that is not.
        let mut found = Err(malformed());
        for broker in &settings.brokers {
            found = guard
                .wire(broker)
                .and_then(preflight::versions)
                .map(|spoken| (broker, spoken));
            if found.is_ok() {
                break;
            }
        }
        let (broker, spoken) = found.map_err(|error| guard.unreachable(&error))?;
        let has = |(wanted, version): (i16, i16)| {
            spoken
                .iter()
                .any(|(key, least, most)| *key == wanted && (*least..=*most).contains(&version))
        };
        if ![FETCH, LIST_OFFSETS, METADATA].into_iter().all(has) {
            return Ok(None);
        }
        guard.topic = guard.describe(broker)?;
        Ok(Some(guard))
    }

    /// The topic's id, as Kafka's tools print it.
    pub(super) fn topic_id(&self) -> String {
        openssl::base64::encode_block(&self.topic.id)
            .trim_end_matches('=')
            .replace('+', "-")
            .replace('/', "_")
    }

    /// For each partition, the offset after the last message of a committed transaction, or outside
    /// of any.
    pub(super) fn committed_ends(&mut self) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let mut by_leader: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (partition, leader) in &self.topic.leaders {
            by_leader
                .entry(leader.clone())
                .or_default()
                .push(*partition);
        }
        let mut ends = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let request = list_offsets(&self.settings.topic, &partitions);
            let found = self
                .wire(&leader)
                .and_then(|wire| wire.ask(&request, read_offsets))
                .map_err(|error| self.unreachable(&error))?;
            ends.extend(found);
        }
        Ok(ends)
    }

    /// Looks at what lies between two offsets of a partition, after it was fetched and before it is
    /// used. Returns the offset below which nothing has to be looked at again.
    pub(super) fn look(&mut self, partition: i32, from: i64, to: i64) -> Result<i64, KafkaError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let mut reached = from;
        // At least once: that the topic is still there is to be known of every answer.
        loop {
            let (at, bytes) = match reached < to {
                true => (reached, BYTES),
                false => (to - 1, 1),
            };
            match self.fetch_heads(partition, at, bytes) {
                Ok(Look::Clear(next)) if next >= to => return Ok(next.max(reached)),
                Ok(Look::Clear(next)) if next > reached => {
                    reached = next;
                    continue;
                }
                Ok(Look::Transaction(offset)) => {
                    return Err(KafkaError::Configuration {
                        what: format!(
                            "the topic {} is written in transactions (partition {partition}, \
                             offset {offset}), and KAFKA_CLIENT=kafka cannot tell their messages \
                             from those of aborted ones; set KAFKA_CLIENT=rdkafka",
                            self.settings.topic
                        ),
                    });
                }
                Ok(Look::Removed) => return Ok(to.max(reached)),
                Ok(Look::Gone) => return Err(self.recreated()),
                Ok(found) => log::debug!(
                    target: LOG,
                    "partition {partition} at {at}: {}",
                    match found {
                        Look::Unsettled(code) => format!("the broker's code {code}"),
                        _ => "nothing yet".to_owned(),
                    }
                ),
                Err(error) => {
                    log::debug!(target: LOG, "connecting anew: {error}");
                    self.wires.clear();
                }
            }
            if Instant::now() > deadline {
                return Err(KafkaError::Timeout {
                    what: "settle who leads a partition",
                    after: self.settings.connect_timeout,
                });
            }
            thread::sleep(BACKOFF);
            self.refresh()?;
        }
    }

    fn fetch_heads(&mut self, partition: i32, offset: i64, bytes: i32) -> io::Result<Look> {
        let Some(leader) = self.topic.leaders.get(&partition).cloned() else {
            return Ok(Look::Clear(offset));
        };
        let request = fetch(&self.topic.id, partition, offset, bytes);
        self.wire(&leader)?
            .ask(&request, |answer| read_heads(answer, offset))
    }

    /// Asks who leads by now, and whether the topic is still the same.
    fn refresh(&mut self) -> Result<(), KafkaError> {
        let brokers = self.settings.brokers.clone();
        for broker in &brokers {
            match self.describe(broker) {
                Ok(topic) if topic.id == self.topic.id => {
                    self.topic = topic;
                    return Ok(());
                }
                Ok(_) | Err(KafkaError::UnknownTopic { .. }) => return Err(self.recreated()),
                Err(error) => log::debug!(target: LOG, "{error}"),
            }
        }
        // Tried again until the caller's time is up.
        Ok(())
    }

    fn describe(&mut self, broker: &str) -> Result<Topic, KafkaError> {
        let request = metadata(&self.settings.topic);
        let topic = self
            .wire(broker)
            .and_then(|wire| wire.ask(&request, read_topic))
            .map_err(|error| {
                self.wires.remove(broker);
                self.unreachable(&error)
            })?;
        topic.ok_or_else(|| KafkaError::UnknownTopic {
            topic: self.settings.topic.clone(),
        })
    }

    fn wire(&mut self, broker: &str) -> io::Result<&mut Wire> {
        if !self.wires.contains_key(broker) {
            let longest = self.settings.connect_timeout;
            let until = Instant::now() + longest;
            let stream = preflight::open(broker, self.connector.as_ref(), until)
                .map_err(|closed| io::Error::other(closed.into_cause()))?;
            let wire = Wire::new(stream, &self.settings.client_id, longest)?;
            self.wires.insert(broker.to_owned(), wire);
        }
        self.wires.get_mut(broker).ok_or_else(malformed)
    }

    fn unreachable(&self, error: &io::Error) -> KafkaError {
        KafkaError::Unreachable {
            brokers: self.settings.broker_list(),
            cause: error.to_string(),
        }
    }

    fn recreated(&self) -> KafkaError {
        KafkaError::Failed {
            what: "be read to the end",
            cause: format!(
                "the topic {} was deleted, or deleted and recreated, during this run; the next run \
                 begins with what is there then",
                self.settings.topic
            ),
        }
    }
}

fn metadata(topic: &str) -> Request {
    let mut body = vec![2]; // one topic
    body.extend([0; 16]); // by name
    compact_text(&mut body, topic);
    // No tagged fields; naming it must not create it; no operations asked for; no tagged fields.
    body.extend([0, 0, 0, 0, 0]);
    let (key, version) = METADATA;
    Request {
        key,
        version,
        flexible: true,
        body,
    }
}

fn read_topic(answer: &mut Answer<'_>) -> io::Result<Option<Topic>> {
    answer.skip(4)?; // throttled for
    let mut brokers = BTreeMap::new();
    for _ in 0..answer.length()? {
        let id = answer.i32()?;
        let host = answer.text()?;
        let port = answer.i32()?;
        answer.text()?; // rack
        answer.skip_tags()?;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        brokers.insert(id, format!("{host}:{port}"));
    }
    answer.text()?; // cluster
    answer.skip(4)?; // controller
    if answer.length()? == 0 {
        return Ok(None);
    }
    let error = answer.i16()?;
    answer.text()?; // name
    let mut topic = Topic {
        id: answer.array()?,
        leaders: BTreeMap::new(),
    };
    answer.skip(1)?; // internal or not
    for _ in 0..answer.length()? {
        answer.skip(2)?; // error
        let partition = answer.i32()?;
        let leader = answer.i32()?;
        answer.skip(4)?; // leader's epoch
        for _replicas in 0..3 {
            let count = answer.length()?;
            answer.skip(count.saturating_mul(4))?;
        }
        answer.skip_tags()?;
        if let Some(address) = brokers.get(&leader) {
            topic.leaders.insert(partition, address.clone());
        }
    }
    Ok((error == 0).then_some(topic))
}

fn list_offsets(topic: &str, partitions: &[i32]) -> Request {
    let mut body = Vec::new();
    body.extend((-1_i32).to_be_bytes()); // no replica
    body.push(1); // of committed transactions
    body.extend(1_i32.to_be_bytes());
    body.extend(i16::try_from(topic.len()).unwrap_or(0).to_be_bytes());
    body.extend(topic.bytes());
    body.extend(i32::try_from(partitions.len()).unwrap_or(0).to_be_bytes());
    for partition in partitions {
        body.extend(partition.to_be_bytes());
        body.extend((-1_i64).to_be_bytes()); // the end
    }
    let (key, version) = LIST_OFFSETS;
    Request {
        key,
        version,
        flexible: false,
        body,
    }
}

/// Partition and offset; a partition that the broker does not lead is left out.
fn read_offsets(answer: &mut Answer<'_>) -> io::Result<Vec<(i32, i64)>> {
    answer.skip(4)?; // throttled for
    let mut offsets = Vec::new();
    for _ in 0..answer.i32()? {
        let name = answer.i16()?;
        answer.skip(u64::try_from(name).unwrap_or(0))?;
        for _ in 0..answer.i32()? {
            let partition = answer.i32()?;
            let error = answer.i16()?;
            answer.skip(8)?; // time
            let offset = answer.i64()?;
            if error == 0 {
                offsets.push((partition, offset));
            }
        }
    }
    Ok(offsets)
}

fn fetch(topic: &[u8; 16], partition: i32, offset: i64, bytes: i32) -> Request {
    let mut body = Vec::new();
    body.extend((-1_i32).to_be_bytes()); // no replica
    body.extend(0_i32.to_be_bytes()); // without waiting
    body.extend(0_i32.to_be_bytes()); // for any number of bytes
    body.extend(bytes.to_be_bytes());
    body.push(1); // up to the end of committed transactions
    body.extend(0_i32.to_be_bytes()); // no session
    body.extend((-1_i32).to_be_bytes());
    body.push(2); // one topic
    body.extend(topic);
    body.push(2); // one partition
    body.extend(partition.to_be_bytes());
    body.extend((-1_i32).to_be_bytes()); // whatever the leader's epoch
    body.extend(offset.to_be_bytes());
    body.extend((-1_i32).to_be_bytes()); // no epoch fetched
    body.extend((-1_i64).to_be_bytes()); // no log of ours
    body.extend(bytes.to_be_bytes());
    // No tagged fields of partition and topic; no topics forgotten; no rack; no tagged fields.
    body.extend([0, 0, 1, 1, 0]);
    let (key, version) = FETCH;
    Request {
        key,
        version,
        flexible: true,
        body,
    }
}

fn read_heads(answer: &mut Answer<'_>, from: i64) -> io::Result<Look> {
    answer.skip(4)?; // throttled for
    let error = answer.i16()?;
    answer.skip(4)?; // session
    if error != 0 {
        return Ok(objection(error));
    }
    if answer.length()? != 1 {
        return Ok(Look::Clear(from));
    }
    answer.skip(16)?; // topic
    if answer.length()? != 1 {
        return Ok(Look::Clear(from));
    }
    answer.skip(4)?; // partition
    let error = answer.i16()?;
    if error != 0 {
        return Ok(objection(error));
    }
    answer.skip(24)?; // the log's ends and its beginning
    for _aborted in 0..answer.length()? {
        answer.skip(16)?;
        answer.skip_tags()?;
    }
    answer.skip(4)?; // a replica to prefer
    let mut left = answer.length()?;
    let mut next = from;
    while left >= HEAD_BYTES {
        let base = answer.i64()?;
        let length = u64::try_from(answer.i32()?).map_err(|_| malformed())?;
        answer.skip(4)?; // leader's epoch
        let [magic] = answer.array()?;
        answer.skip(4)?; // checksum
        let attributes = answer.i16()?;
        let delta = answer.i32()?;
        const READ: u64 = 8 + 4 + 4 + 1 + 4 + 2 + 4;
        let size = 12 + length;
        if size < READ {
            return Err(malformed());
        }
        if size > left {
            // The last one may be cut.
            break;
        }
        // Before version 2 there were no transactions, and each batch had the offset of its last
        // message.
        let last = match magic {
            2.. => base.saturating_add(i64::from(delta)),
            _ => base,
        };
        if magic >= 2 && attributes & TRANSACTIONAL != 0 && last >= from {
            return Ok(Look::Transaction(base));
        }
        next = next.max(last.saturating_add(1));
        answer.skip(size - READ)?;
        left -= size;
    }
    Ok(Look::Clear(next))
}

fn objection(error: i16) -> Look {
    match error {
        code::UNKNOWN_TOPIC_ID | code::INCONSISTENT_TOPIC_ID => Look::Gone,
        code::OFFSET_OUT_OF_RANGE => Look::Removed,
        error => Look::Unsettled(error),
    }
}
