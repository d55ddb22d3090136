//! Reading ranges: what each event of the consumer means for them.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;

use super::assignment::{Client, assign, partition_list, request_error, unassign};
use super::watcher::is_of_connection;
use super::{unpack, unreadable};
use crate::progress::{Progress, Step};
use crate::record::ClientRecord;
use crate::{KafkaError, KafkaSettings, LOG, Polled, Range, Record};

/// How often positions are looked at while no message comes: a marker moves them and wakes nobody.
const POSITION_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How often a partition may be blamed for a missing offset that is there, before it is believed.
const EXCUSES: usize = 3;

/// The ranges being read, and what is known about them beyond their positions.
pub(super) struct Fetching {
    pub(super) topic: String,
    pub(super) timeout: Duration,
    progress: Progress,
    /// Positions of an earlier assignment. librdkafka forgets them a little later than it takes
    /// the new one.
    stale: Vec<(i32, i64)>,
    /// After an error, which names no partition: the one that is fetched alone, so that the next
    /// error is its own. The others wait.
    alone: Option<i32>,
    doubts: Vec<Doubt>,
    /// Partitions once for each time they were blamed for a missing offset that is there.
    excused: Vec<i32>,
    /// The range, as it stood, whose next batch could not be read; nothing of it has come since.
    broken: Option<Range>,
    /// When all brokers were found to be away; nothing has come since.
    away_since: Option<Instant>,
    /// How long was waited since anything came. Whoever does not ask for long has not waited.
    silence: Duration,
    /// How long that is borne.
    patience: Duration,
    /// The range, as it stood, of which nothing came for so long, so that it was asked for anew.
    silent: Option<Range>,
}

/// A partition that reported its end while its position was below the range's.
#[derive(Debug)]
struct Doubt {
    partition: i32,
    since: Instant,
    /// The leader has been seen to know of the range's end.
    leader_agrees: bool,
}

impl Fetching {
    pub(super) fn new(settings: &KafkaSettings) -> Self {
        Self {
            topic: settings.topic.clone(),
            timeout: settings.connect_timeout,
            progress: Progress::default(),
            stale: Vec::new(),
            alone: None,
            doubts: Vec::new(),
            excused: Vec::new(),
            broken: None,
            away_since: None,
            silence: Duration::ZERO,
            patience: settings.connect_timeout,
            silent: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.progress.open().is_empty()
    }

    pub(super) fn assign(&mut self, client: &Client, ranges: &[Range]) -> Result<(), KafkaError> {
        self.stale = positions(client)?;
        self.progress = Progress::new(ranges);
        self.alone = None;
        self.doubts.clear();
        self.excused.clear();
        self.broken = None;
        self.away_since = None;
        self.silence = Duration::ZERO;
        self.silent = None;
        self.fetch_open(client)
    }

    pub(super) fn finish(&mut self, client: &Client, partition: i32) -> Result<(), KafkaError> {
        match self.progress.close(partition) {
            Some(_) => self.closed(client, partition),
            None => Ok(()),
        }
    }

    pub(super) fn poll<'a>(
        &mut self,
        client: &'a Client,
        wait: Duration,
    ) -> Result<Option<Polled<'a>>, KafkaError> {
        // Not before it is needed: a message that is there would pay for the look at the clock.
        let mut deadline = None;
        let mut timeout = Duration::ZERO;
        while !self.is_done() {
            let polled = client.poll(timeout);
            if polled.is_some() {
                self.silence = Duration::ZERO;
            }
            let event = match polled {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    unpack::have_read(message.payload_len() + message.key_len() + unpack::MESSAGE);
                    let step = self.progress.message(partition, offset);
                    if self.away_since.take().is_some() {
                        client.client().context().all_well();
                    }
                    if let Step::Deliver { last } = step {
                        if last {
                            self.closed(client, partition)?;
                        }
                        let record = ClientRecord::Rdkafka(super::Record(message));
                        return Ok(Some(Polled::Record(Record(record))));
                    }
                    self.moved(client, partition, &step)?
                }
                Some(Err(RdError::PartitionEOF(partition))) => self.end_of(client, partition)?,
                Some(Err(error)) => self.failure(client, &error)?,
                None => {
                    self.check_brokers(client)?;
                    match self.position_moved(client)? {
                        None => self.check_silence(client, timeout)?,
                        moved => {
                            self.silence = Duration::ZERO;
                            moved
                        }
                    }
                }
            };
            if event.is_some() {
                return Ok(event);
            }
            let now = Instant::now();
            let left = deadline
                .get_or_insert(now + wait)
                .saturating_duration_since(now);
            if left.is_zero() {
                return Ok(None);
            }
            timeout = POSITION_POLL_INTERVAL.min(left);
        }
        Ok(None)
    }

    fn moved(
        &mut self,
        client: &Client,
        partition: i32,
        step: &Step,
    ) -> Result<Option<Polled<'static>>, KafkaError> {
        let Step::Move { next, last } = *step else {
            return Ok(None);
        };
        if last {
            self.closed(client, partition)?;
        }
        Ok(Some(Polled::Position { partition, next }))
    }

    /// Looks for a range whose position has passed what was delivered: transaction markers are
    /// swallowed by librdkafka, but they move the position.
    fn position_moved(&mut self, client: &Client) -> Result<Option<Polled<'static>>, KafkaError> {
        for (partition, offset) in positions(client)? {
            if self.stale.contains(&(partition, offset)) {
                continue;
            }
            let step = self.progress.reach(partition, offset);
            if step != Step::Ignore {
                return self.moved(client, partition, &step);
            }
        }
        Ok(None)
    }

    /// The fetcher reports the end of a partition, but not its offset. Compaction can leave the
    /// position short of it; so can a new leader that does not yet know how far its log is
    /// committed, and then there are messages to come. Only an end reported after the leader is
    /// known to know counts.
    fn end_of(
        &mut self,
        client: &Client,
        partition: i32,
    ) -> Result<Option<Polled<'static>>, KafkaError> {
        if let Some(event) = self.position_moved(client)? {
            return Ok(Some(event));
        }
        let Some(range) = self.progress.find(partition) else {
            return Ok(None);
        };
        let index = match self
            .doubts
            .iter()
            .position(|doubt| doubt.partition == partition)
        {
            Some(index) => index,
            None => {
                self.doubts.push(Doubt {
                    partition,
                    since: Instant::now(),
                    leader_agrees: false,
                });
                self.doubts.len() - 1
            }
        };
        let doubt = &mut self.doubts[index];
        if doubt.leader_agrees {
            let step = self.progress.reach(partition, range.end);
            return self.moved(client, partition, &step);
        }
        let (_, end) = client
            .fetch_watermarks(&self.topic, partition, self.timeout)
            .map_err(|error| request_error(client, "tell the end of a partition", &error))?;
        doubt.leader_agrees = end >= range.end;
        if !doubt.leader_agrees && doubt.since.elapsed() > self.timeout {
            let cause = format!(
                "the partition now ends at offset {end}, before the {} it had; \
                 its broker has lost messages",
                range.end
            );
            return self.fail(client, range, cause).map(Some);
        }
        // Reports the end anew.
        client
            .seek(
                &self.topic,
                partition,
                Offset::Offset(range.next),
                Duration::ZERO,
            )
            .map_err(|error| request_error(client, "go back to an offset", &error))?;
        Ok(None)
    }

    /// What an error means: nothing yet, the end of one partition, or (`Err`) of everything.
    fn failure(
        &mut self,
        client: &Client,
        error: &RdError,
    ) -> Result<Option<Polled<'static>>, KafkaError> {
        let RdError::MessageConsumption(code) = *error else {
            return Err(request_error(client, "go on", error));
        };
        if is_of_connection(code) {
            // They come back, or `check_brokers` gives up.
            return Ok(None);
        }
        let suspects = self.progress.open();
        let culprit = match (self.alone, suspects) {
            (Some(partition), _) => partition,
            (None, [only]) => only.partition,
            (None, _) => {
                log::debug!(target: LOG, "{code}; fetching the partitions one by one to see whose");
                self.alone = suspects.first().map(|range| range.partition);
                self.fetch_open(client)?;
                return Ok(None);
            }
        };
        let Some(range) = self.progress.find(culprit) else {
            return Ok(None);
        };
        if matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange)
            && self.is_anothers(client, range)?
        {
            self.fetch_open(client)?;
            return Ok(None);
        }
        if matches!(code, Code::BadCompression | Code::BadMessage) {
            return self.unreadable(client, range);
        }
        let cause = client.client().context().partition_cause(code);
        self.fail(client, range, cause).map(Some)
    }

    /// A batch could not be unpacked, or its checksum is wrong. It may have been damaged on its way,
    /// or found too many others unpacked before it; so it is fetched again, alone. When nothing
    /// comes then either, it is passed over: as long as it is there nothing behind it could be read.
    fn unreadable(
        &mut self,
        client: &Client,
        range: Range,
    ) -> Result<Option<Polled<'static>>, KafkaError> {
        if self.broken != Some(range) {
            self.broken = Some(range);
            self.alone = Some(range.partition);
            self.fetch_open(client)?;
            return Ok(None);
        }
        let found = unreadable::batch_at(client, &self.topic, range, self.timeout)?;
        self.broken = None;
        self.alone = None;
        // Each such batch brings the error of an offset that nobody asked for: see `unreadable`.
        self.excused.retain(|&it| it != range.partition);
        let mut event = None;
        if let Some(batch) = found {
            self.progress.reach(range.partition, batch.next);
            event = Some(Polled::Unreadable {
                partition: range.partition,
                from: range.next,
                next: batch.next,
                cause: batch.cause,
            });
        }
        // What was asked for meanwhile moved positions further than we have read.
        self.stale = positions(client)?;
        self.fetch_open(client)?;
        Ok(event)
    }

    /// Whether the broker has the offset that is said to be missing. librdkafka drops what is left
    /// of an earlier assignment, but not this error: it can be that of a partition that was fetched
    /// before this one was to be alone.
    fn is_anothers(&mut self, client: &Client, range: Range) -> Result<bool, KafkaError> {
        let blamed = self.excused.iter().filter(|&&it| it == range.partition);
        if blamed.count() >= EXCUSES {
            return Ok(false);
        }
        let (first, end) = client
            .fetch_watermarks(&self.topic, range.partition, self.timeout)
            .map_err(|error| request_error(client, "tell what a partition holds", &error))?;
        if !(first..=end).contains(&range.next) {
            return Ok(false);
        }
        self.excused.push(range.partition);
        Ok(true)
    }

    fn fail(
        &mut self,
        client: &Client,
        range: Range,
        cause: String,
    ) -> Result<Polled<'static>, KafkaError> {
        let partition = range.partition;
        self.finish(client, partition)?;
        Ok(Polled::Failed {
            partition,
            error: KafkaError::Partition {
                partition,
                offset: range.next,
                cause,
            },
        })
    }

    fn check_brokers(&mut self, client: &Client) -> Result<(), KafkaError> {
        let watcher = client.client().context();
        if !watcher.all_down() {
            return Ok(());
        }
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.timeout {
            return Ok(());
        }
        Err(watcher.why("no broker has answered for too long"))
    }

    /// A partition of which nothing comes although its broker sends it holds up the others no longer.
    /// It is not passed over: where its batch ends nobody says, and what is behind it may be well.
    fn check_silence(
        &mut self,
        client: &Client,
        waited: Duration,
    ) -> Result<Option<Polled<'static>>, KafkaError> {
        self.silence += waited;
        let suspect = self
            .alone
            .or(self.progress.open().first().map(|range| range.partition));
        let Some(range) = suspect.and_then(|partition| self.progress.find(partition)) else {
            return Ok(None);
        };
        if self.silence < self.patience {
            return Ok(None);
        }
        self.silence = Duration::ZERO;
        // librdkafka may not have seen yet that the partition has another leader.
        if self.silent != Some(range) {
            self.silent = Some(range);
            self.fetch_open(client)?;
            return Ok(None);
        }
        if !unreadable::has_answered_in_vain(client, &self.topic, range.partition, self.timeout) {
            return Ok(None);
        }
        // Where there is one, there may be many, and all of them want to be met before the deadline.
        self.patience = unreadable::SILENCE.min(self.timeout);
        let cause = format!(
            "the broker sends what is there, and librdkafka finds no whole message in it; \
             to go on behind it, raise next_offset of partition {} in the table kafka_offsets",
            range.partition
        );
        self.fail(client, range, cause).map(Some)
    }

    /// Stops fetching a partition whose range was closed, unless all fetching is about to end.
    fn closed(&mut self, client: &Client, partition: i32) -> Result<(), KafkaError> {
        if self.is_done() {
            return Ok(());
        }
        if self.alone == Some(partition) {
            self.alone = self.progress.open().first().map(|range| range.partition);
            return self.fetch_open(client);
        }
        if self.alone.is_some() {
            return Ok(());
        }
        unassign(client, &self.topic, partition)
    }

    /// Fetches every open range from where it stands, or only the one that is to be alone.
    fn fetch_open(&self, client: &Client) -> Result<(), KafkaError> {
        // What was fetched before is thrown away.
        unpack::forget();
        let ranges = self.progress.open().iter();
        let offsets = ranges
            .filter(|range| self.alone.is_none_or(|alone| alone == range.partition))
            .map(|range| (range.partition, Offset::Offset(range.next)));
        assign(client, &partition_list(&self.topic, offsets)?)
    }
}

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetching")
            .field("topic", &self.topic)
            .field("progress", &self.progress)
            .field("alone", &self.alone)
            .field("doubts", &self.doubts)
            .finish_non_exhaustive()
    }
}

/// The offset after the last thing that was taken from each partition's queue.
fn positions(client: &Client) -> Result<Vec<(i32, i64)>, KafkaError> {
    let positions = client
        .position()
        .map_err(|error| request_error(client, "tell its position", &error))?;
    Ok(positions
        .elements()
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        })
        .collect())
}
