//! Results to Kafka, through the run's journal in the spool when there is one.
//!
//! One thread talks to Kafka, so that a broker that is slow or away holds up no check. What the
//! journal has stays there until Kafka acknowledged it. Any other result is in exactly one place at
//! any time: the queue, the producer (which gives back what it could not deliver), or the list of
//! those to be printed.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewatch::event::CheckEvent;
use sitewatch::run::{Failure, Stop, aside};
use sitewatch_kafka::{Delivery, KafkaError, KafkaSettings, Producer};

use super::backlog::Backlog;
use super::journal::Journal;
use super::message::Message;
use super::queue::Queue;
use super::{Delivered, Spool};

/// How long results may linger before they are handed to the producer, so that many of them share a
/// request: longer than a request costs, too short to notice. Once all checks are made nothing lingers.
const LINGER: Duration = Duration::from_millis(20);
/// How often deliveries are asked for while nothing else is left to do.
pub(super) const DELIVERY_INTERVAL: Duration = Duration::from_millis(1);
/// How often deliveries are asked for while no results come.
const IDLE: Duration = Duration::from_millis(100);
/// How often somebody who waits for Kafka looks whether the run is to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Results in memory that nobody takes, before they are printed.
const PRINT_BATCH: usize = 2_000;
/// How long Kafka may still acknowledge once the run is to stop. The process ends two and a half
/// seconds after the signal, whatever is in its memory.
const STOPPED: Duration = Duration::from_millis(500);
/// When Kafka does not answer, how long finishing may take for what it has in hand.
const LAST_GASP: Duration = Duration::from_millis(200);

/// The topic, behind its thread.
pub(crate) struct KafkaSink {
    queue: Arc<Queue>,
    /// `None`: there is no spool.
    journal: Option<Arc<Journal>>,
    /// When `finish` gives up on Kafka.
    deadline: Arc<Mutex<Option<Instant>>>,
    thread: Mutex<Option<JoinHandle<Delivered>>>,
}

impl KafkaSink {
    /// Connects. With a spool, connecting goes on beside the checks, and may fail.
    ///
    /// # Errors
    /// When Kafka is away and there is no spool: results would go nowhere.
    pub(super) fn open(
        settings: &KafkaSettings,
        spool: Option<Spool>,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let producer = match &spool {
            None => Some(Producer::connect(settings)?),
            Some(_) => None,
        };
        let queue = Arc::new(Queue::default());
        let journal = spool.map(|spool| Arc::new(Journal::new(spool)));
        let deadline = Arc::default();
        let thread = {
            let (queue, journal, deadline, settings, stop) = (
                Arc::clone(&queue),
                journal.clone(),
                Arc::clone(&deadline),
                settings.clone(),
                stop.clone(),
            );
            std::thread::Builder::new()
                .name("kafka".to_owned())
                .spawn(move || {
                    Publishing::new(&queue, journal, deadline).run(&settings, producer, &stop)
                })
                .map_err(|error| {
                    Failure::Unavailable(format!("no thread could be started for Kafka: {error}"))
                })?
        };
        Ok(Self {
            queue,
            journal,
            deadline,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn publish(&self, event: &CheckEvent<'_>) {
        let payload = event.to_json();
        // Here, not on the thread for Kafka, which may wait for a broker when we are killed.
        let kept = self
            .journal
            .as_ref()
            .is_some_and(|journal| journal.keep(&payload));
        self.queue.push(Message::new(event, payload, kept));
    }

    /// Whether no further checks should begin for now.
    pub(super) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    pub(super) fn finish(&self, deadline: Instant) -> Delivered {
        *self.deadline.lock() = Some(deadline);
        self.queue.close();
        let thread = self.thread.lock().take();
        thread
            .and_then(|thread| thread.join().ok())
            .unwrap_or_else(|| {
                let (spooled, rest) = match &self.journal {
                    None => (0, "results are lost"),
                    Some(journal) => (journal.finish(), "results are in the spool"),
                };
                Delivered {
                    spooled,
                    trouble: Some(format!("the thread for Kafka panicked; {rest}")),
                    ..Delivered::default()
                }
            })
    }
}

/// Connects beside us, so that a broker that does not answer holds up nobody who has to stop; `None`
/// when the run is to stop first.
fn connect(settings: &KafkaSettings, stop: &Stop) -> Option<Result<Producer, KafkaError>> {
    let (done, connected) = mpsc::channel();
    let own = settings.clone();
    // Nobody listens any more once the run is to stop. Without a thread `done` is gone at once.
    drop(
        std::thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || drop(done.send(Producer::connect(&own)))),
    );
    loop {
        match connected.recv_timeout(POLL_INTERVAL) {
            Ok(connected) => return Some(connected),
            Err(_) if stop.requested().is_some() => return None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(Producer::connect(settings)),
        }
    }
}

/// The work of the thread.
struct Publishing<'a> {
    queue: &'a Queue,
    journal: Option<Arc<Journal>>,
    deadline: Arc<Mutex<Option<Instant>>>,
    delivered: Delivered,
    /// The number of the last message that the producer was given.
    next_id: u64,
    /// Up to this number they are results of earlier runs, which stay in their files.
    backlog: u64,
    /// Messages that the producer took and whose fate it has not told yet.
    under_way: u64,
    /// Of these, what the journal has no room for; without a journal nobody asks.
    not_kept: HashSet<u64>,
    /// Results that neither Kafka nor the journal took.
    undelivered: Vec<Vec<u8>>,
    /// Why Kafka is not sent anything any more.
    given_up: bool,
}

impl<'a> Publishing<'a> {
    fn new(
        queue: &'a Queue,
        journal: Option<Arc<Journal>>,
        deadline: Arc<Mutex<Option<Instant>>>,
    ) -> Self {
        Self {
            queue,
            journal,
            deadline,
            delivered: Delivered::default(),
            next_id: 0,
            backlog: 0,
            under_way: 0,
            not_kept: HashSet::new(),
            undelivered: Vec::new(),
            given_up: false,
        }
    }

    fn run(
        mut self,
        settings: &KafkaSettings,
        producer: Option<Producer>,
        stop: &Stop,
    ) -> Delivered {
        let mut producer = producer.or_else(|| match connect(settings, stop) {
            Some(Ok(producer)) => Some(producer),
            Some(Err(error)) => {
                self.trouble(&error);
                None
            }
            None => {
                self.delivered.trouble = Some("stopped before Kafka answered".to_owned());
                None
            }
        });
        if let Some(connected) = producer.take() {
            producer = self.send_backlog(settings, connected, stop);
        }
        loop {
            let (messages, open) = self.queue.take(IDLE);
            let any = !messages.is_empty();
            for message in messages {
                self.send(producer.as_mut(), message);
            }
            if let Some(producer) = &mut producer {
                let deliveries = producer.poll();
                self.note(deliveries);
            }
            if self.undelivered.len() >= PRINT_BATCH {
                self.print_undelivered();
            }
            if !open && !any {
                break;
            }
            if open && any {
                self.queue.linger(LINGER);
            }
        }
        if let Some(producer) = producer {
            self.flush(producer, stop);
        }
        if let Some(journal) = &self.journal {
            self.delivered.spooled = journal.finish();
        }
        self.print_undelivered();
        self.delivered
    }

    /// Waits for what is under way. Not to the end once the run is to stop: what is not
    /// acknowledged by then has to be synced or printed before the process ends.
    fn flush(&mut self, mut producer: Producer, stop: &Stop) {
        let set = *self.deadline.lock();
        let mut deadline = if self.given_up {
            Instant::now() + LAST_GASP
        } else {
            set.unwrap_or_else(Instant::now)
        };
        // Whoever set the deadline knew of a stop before it.
        let mut stopped = stop.requested().is_some();
        while self.under_way > 0 && Instant::now() < deadline {
            if !stopped && stop.requested().is_some() {
                stopped = true;
                deadline = deadline.min(Instant::now() + STOPPED);
            }
            std::thread::sleep(DELIVERY_INTERVAL);
            let deliveries = producer.poll();
            self.note(deliveries);
        }
        let deliveries = producer.finish(deadline);
        self.note(deliveries);
    }

    fn send(&mut self, producer: Option<&mut Producer>, message: Message) {
        let Some(producer) = producer.filter(|_| !self.given_up) else {
            self.not_delivered(message.kept, message.payload);
            return;
        };
        self.next_id += 1;
        if let Err(error) = message.send(self.next_id, producer) {
            // A broker that made no room in all that time will not for the next one either.
            self.given_up = matches!(error, KafkaError::Timeout { .. });
            self.trouble(&error);
            self.not_delivered(message.kept, message.payload);
            return;
        }
        self.under_way += 1;
        if !message.kept && self.journal.is_some() {
            self.not_kept.insert(self.next_id);
        }
    }

    fn not_delivered(&mut self, kept: bool, result: Vec<u8>) {
        if !kept {
            self.undelivered.push(result);
        }
    }

    fn note(&mut self, deliveries: Vec<Delivery>) {
        let mut acknowledged = 0;
        for delivery in deliveries {
            self.under_way = self.under_way.saturating_sub(1);
            let own = delivery.id > self.backlog;
            let kept = !own || (self.journal.is_some() && !self.not_kept.remove(&delivery.id));
            match delivery.result {
                Ok(()) => {
                    self.delivered.published += 1;
                    acknowledged += u64::from(own && kept);
                }
                Err(undelivered) => {
                    self.trouble(&undelivered.reason);
                    self.not_delivered(kept, undelivered.payload);
                }
            }
        }
        if let Some(journal) = &self.journal
            && acknowledged > 0
        {
            journal.acknowledge(acknowledged);
        }
    }

    fn trouble(&mut self, error: &KafkaError) {
        if self.delivered.trouble.is_none() {
            self.delivered.trouble = Some(error.to_string());
        }
    }

    fn print_undelivered(&mut self) {
        let results = std::mem::take(&mut self.undelivered);
        if results.is_empty() {
            return;
        }
        if self.journal.is_some() {
            log::error!(
                "{} results do not fit the spool (PROBE_SPOOL_MAX), or it cannot be written",
                results.len()
            );
        }
        self.delivered.printed += results.len() as u64;
        print(&results);
    }

    /// Sends what earlier runs have left, oldest first. Each file is removed once everything in it
    /// is acknowledged. Gives the producer back, or a fresh one.
    fn send_backlog(
        &mut self,
        settings: &KafkaSettings,
        producer: Producer,
        stop: &Stop,
    ) -> Option<Producer> {
        let Some(journal) = self.journal.clone() else {
            return Some(producer);
        };
        let spool = journal.spool();
        let mut backlog = Backlog::new(producer, settings, spool, stop);
        let files = match spool.files() {
            Ok(files) => files,
            Err(error) => {
                log::error!("the spool cannot be read (PROBE_SPOOL_DIR): {error}");
                return Some(backlog.producer);
            }
        };
        for found in files {
            if stop.requested().is_some() || backlog.refused.is_some() {
                break;
            }
            let sent = match spool.acquire(&found) {
                Ok(Some(file)) => backlog.send(file),
                Ok(None) => Ok(0),
                Err(error) => Err(error),
            };
            match sent {
                Ok(sent) => {
                    self.delivered.published += sent;
                    self.delivered.from_spool += sent;
                }
                Err(error) => {
                    let path = found.path().display();
                    log::error!("the spool's file {path} is kept: {error}");
                }
            }
        }
        self.next_id = backlog.sent;
        self.backlog = backlog.sent;
        self.under_way = backlog.unanswered.len() as u64;
        if let Some(error) = backlog.refused {
            self.trouble(&error);
            self.given_up = true;
        }
        Some(backlog.producer)
    }
}

/// The last resort: lines on standard error, from where they can be recovered (`drain` reads them).
fn print(results: &[Vec<u8>]) {
    aside(|| {
        let mut stderr = io::stderr().lock();
        for result in results {
            // When even this fails there is nowhere left to say so but the exit code.
            drop(
                stderr
                    .write_all(result)
                    .and_then(|()| stderr.write_all(b"\n")),
            );
        }
    });
}
