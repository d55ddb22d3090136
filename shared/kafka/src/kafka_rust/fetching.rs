//! Reading ranges with the `kafka` crate: what to ask for next, and what an answer means.
//!
//! While one answer is being read, the next is on its way. The crate gives no sign of a message
//! that does not fit the answer, of one it cannot decompress (it fails the whole answer) or of a
//! hole in the offsets; each is told apart here, and none is passed over.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use kafka::Error;
use kafka::client::FetchPartition;
use kafka::client::fetch::Response;

use super::answer::{Outcome, describe_error, outcome, record_at};
use super::client;
use super::connection::Connection;
use super::worker::dead;
use crate::progress::{Progress, Step};
use crate::record::ClientRecord;
use crate::{KafkaError, LOG, Polled, Range, Record};

const WHAT: &str = "be read";

/// What is asked of one partition at first. The crate's own 32 KiB stall on any larger batch.
const FIRST_BYTES: i32 = 1024 * 1024;

/// What is asked of it at most. A broker takes messages of 1 MiB unless told otherwise.
const MAX_BYTES: i32 = 64 * 1024 * 1024;

/// How many partitions share a request; with `FIRST_BYTES` it bounds the memory of an answer.
const PARTITIONS_AT_ONCE: usize = 4;

/// Between two attempts while a partition changes its leader.
const BACKOFF: Duration = Duration::from_millis(100);

type Answer = Result<Vec<Response>, Error>;

#[derive(Default)]
pub(super) struct Fetching {
    progress: Progress,
    /// What is left to ask for, in turns.
    wanted: VecDeque<Wanted>,
    /// An answer failed as a whole, and does not say because of which partition.
    one_by_one: bool,
    asked: Option<Asked>,
    answer: Vec<Response>,
    /// Response, topic, partition and message to look at next.
    at: [usize; 4],
    failures: VecDeque<Polled<'static>>,
    /// When a partition was first found without a leader; nothing has come since.
    unsettled: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    partition: i32,
    offset: i64,
    end: i64,
    bytes: i32,
    /// Below this nothing is part of a transaction.
    clear: i64,
}

struct Asked {
    of: Vec<Wanted>,
    answer: Receiver<Answer>,
    since: Instant,
}

impl Fetching {
    pub(super) fn new(ranges: &[Range]) -> Self {
        let progress = Progress::new(ranges);
        let wanted = progress.open().iter().map(|range| Wanted {
            partition: range.partition,
            offset: range.next,
            end: range.end,
            bytes: FIRST_BYTES,
            clear: range.next,
        });
        Self {
            wanted: wanted.collect(),
            progress,
            ..Self::default()
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.progress.open().is_empty() && self.failures.is_empty()
    }

    pub(super) fn finish(&mut self, partition: i32) {
        self.progress.close(partition);
        self.wanted.retain(|wanted| wanted.partition != partition);
    }

    pub(super) fn poll(
        &mut self,
        connection: &mut Connection,
        wait: Duration,
    ) -> Result<Option<Polled<'_>>, KafkaError> {
        let deadline = Instant::now() + wait;
        let found = loop {
            match self.next_message() {
                Some((at, partition, offset)) => {
                    match self.progress.message(partition, offset) {
                        Step::Deliver { .. } => break at,
                        Step::Move { next, .. } => {
                            return Ok(Some(Polled::Position { partition, next }));
                        }
                        Step::Ignore => {}
                    };
                }
                None if !self.failures.is_empty() => return Ok(self.failures.pop_front()),
                None if self.is_done() => return Ok(None),
                None => {
                    if !self.next_answer(connection, deadline)? {
                        return Ok(None);
                    }
                }
            }
        };
        let record = record_at(&self.answer, found).map(ClientRecord::Kafka);
        Ok(record.map(|record| Polled::Record(Record(record))))
    }

    /// Steps over the answer; returns where the message is, its partition and its offset.
    fn next_message(&mut self) -> Option<([usize; 4], i32, i64)> {
        loop {
            let [response, topic, partition, message] = &mut self.at;
            let topics = self.answer.get(*response)?.topics();
            let Some(in_topic) = topics.get(*topic) else {
                self.at = [*response + 1, 0, 0, 0];
                continue;
            };
            let Some(in_partition) = in_topic.partitions().get(*partition) else {
                self.at = [*response, *topic + 1, 0, 0];
                continue;
            };
            let messages = in_partition.data().map_or(&[][..], |data| data.messages());
            let Some(found) = messages.get(*message) else {
                self.at = [*response, *topic, *partition + 1, 0];
                continue;
            };
            let here = (self.at, in_partition.partition(), found.offset);
            self.at[3] += 1;
            return Some(here);
        }
    }

    /// Waits for the answer to the last request; `false` when it has not come by `deadline`.
    fn next_answer(
        &mut self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<bool, KafkaError> {
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => match self.ask(connection) {
                Some(asked) => asked,
                // Everything has been asked for and read, and nothing ended a range.
                None => {
                    return Err(KafkaError::Failed {
                        what: WHAT,
                        cause: "it went silent".into(),
                    });
                }
            },
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = connection.settings.connect_timeout;
        let answer = match asked.answer.recv_timeout(left) {
            Ok(answer) => answer,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Err(dead(WHAT)),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                if asked.since.elapsed() < timeout {
                    self.asked = Some(asked);
                    return Ok(false);
                }
                connection.worker.abandon();
                return Err(KafkaError::Timeout {
                    what: "send messages",
                    after: timeout,
                });
            }
        };
        match answer {
            Ok(responses) => self.arrived(connection, &asked.of, responses)?,
            Err(error) if client::is_lost(&error) => {
                log::debug!(target: LOG, "connecting anew: {error}");
                self.wanted.extend(asked.of);
                connection.renew()?;
            }
            Err(error) => match asked.of[..] {
                [only] => self.fail(only, describe_error(&error)),
                _ => {
                    log::debug!(target: LOG, "{error}: asking for one partition at a time");
                    self.one_by_one = true;
                    self.wanted.extend(asked.of);
                }
            },
        }
        Ok(true)
    }

    /// Sends the next request, unless nothing is wanted.
    fn ask(&mut self, connection: &Connection) -> Option<Asked> {
        let many = if self.one_by_one {
            1
        } else {
            PARTITIONS_AT_ONCE
        };
        let of: Vec<Wanted> = self.wanted.drain(..many.min(self.wanted.len())).collect();
        if of.is_empty() {
            return None;
        }
        let topic = connection.settings.topic.clone();
        let wanted = of.clone();
        let answer = connection.worker.submit(move |client| {
            client.fetch_messages(wanted.iter().map(|wanted| {
                FetchPartition::new(&topic, wanted.partition, wanted.offset)
                    .with_max_bytes(wanted.bytes)
            }))
        });
        Some(Asked {
            of,
            answer,
            since: Instant::now(),
        })
    }

    /// Handles an answer, and asks for what follows it.
    fn arrived(
        &mut self,
        connection: &mut Connection,
        of: &[Wanted],
        responses: Vec<Response>,
    ) -> Result<(), KafkaError> {
        let mut unsettled = false;
        for &(mut wanted) in of {
            let outcome = outcome(&responses, wanted.partition, wanted.offset);
            if let Some(guard) = &mut connection.guard
                && self.progress.find(wanted.partition).is_some()
            {
                let to = match outcome {
                    Outcome::UpTo(offset) => Some(offset.min(wanted.end)),
                    Outcome::Nothing => Some(wanted.end),
                    Outcome::Unsettled | Outcome::Failed(_) => None,
                };
                if let Some(to) = to {
                    wanted.clear = guard.look(wanted.partition, wanted.clear, to)?;
                }
            }
            match outcome {
                Outcome::UpTo(offset) => {
                    self.unsettled = None;
                    let next = Wanted {
                        offset,
                        bytes: FIRST_BYTES,
                        ..wanted
                    };
                    if offset < wanted.end {
                        self.wanted.push_back(next);
                    }
                }
                Outcome::Nothing if wanted.bytes < MAX_BYTES => {
                    let bytes = wanted.bytes.saturating_mul(8).min(MAX_BYTES);
                    self.wanted.push_front(Wanted { bytes, ..wanted });
                }
                Outcome::Nothing => self.fail(wanted, describe_stall()),
                Outcome::Unsettled => {
                    self.wanted.push_back(wanted);
                    unsettled = true;
                }
                Outcome::Failed(cause) => self.fail(wanted, cause),
            }
        }
        self.answer = responses;
        self.at = [0; 4];
        if unsettled {
            let timeout = connection.settings.connect_timeout;
            if self.unsettled.get_or_insert_with(Instant::now).elapsed() > timeout {
                return Err(KafkaError::Timeout {
                    what: "settle who leads a partition",
                    after: timeout,
                });
            }
            std::thread::sleep(BACKOFF);
            connection.renew()?;
        }
        self.wanted
            .retain(|wanted| self.progress.find(wanted.partition).is_some());
        self.asked = self.ask(connection);
        Ok(())
    }

    fn fail(&mut self, wanted: Wanted, cause: String) {
        let partition = wanted.partition;
        // Messages of this answer that come before are read by then; a failed answer has none.
        if self.progress.close(partition).is_some() {
            let error = KafkaError::Partition {
                partition,
                offset: wanted.offset,
                cause,
            };
            self.failures.push_back(Polled::Failed { partition, error });
        }
    }
}

fn describe_stall() -> String {
    format!(
        "nothing comes although there is more: a message larger than {} MiB, or the end of a \
         transaction; the `kafka` client can read neither: set KAFKA_CLIENT=rdkafka",
        MAX_BYTES / (1024 * 1024)
    )
}
