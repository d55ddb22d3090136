//! A topic and a database in memory, for tests of what lies between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use sitewatch::run::{Failure, Progress, Stop, Why};
use sitewatch_kafka::{KafkaError, Range};

use crate::acquire::Acquired;
use crate::batch::{Batch, Part};
use crate::decode::{Decoder, Window};
use crate::filling::Filling;
use crate::finish::Counters;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::pump::Pump;
use crate::read::{Message, Polled, Source};
use crate::write::{Commit, Committed, Interrupt, Writers};

/// An event that can be told from others by its number.
pub(crate) fn event(number: i32) -> Vec<u8> {
    format!(
        r#"{{"v":1,"id":"0198c0de-0000-7000-8000-000000000000","site":"a","url":"http://a/","location":"here","checked_at":"{}","up":true,"outcome":"up","total_us":{number},"redirects":0,"attempts":1,"labels":{{}}}}"#,
        Timestamp::now()
    )
    .into_bytes()
}

/// What is on a topic.
#[derive(Default)]
pub(crate) struct Topic {
    /// By partition and offset.
    messages: BTreeMap<i32, Vec<Vec<u8>>>,
    /// What is being read.
    ranges: Vec<Range>,
    /// Partitions that fail at an offset.
    pub(crate) broken: BTreeMap<i32, i64>,
    /// Whether it is a pipe, whose messages come once.
    pub(crate) is_pipe: bool,
    /// How many messages of each partition were read.
    pub(crate) read: Vec<usize>,
    /// Asked for the run's end once so many messages have been read.
    pub(crate) stop_after: Option<(usize, Stop)>,
}

impl Topic {
    /// One with `count` events in each of some partitions, numbered from 1000 × partition on.
    pub(crate) fn of_events(partitions: i32, count: i32) -> Self {
        let events = |partition| (0..count).map(|at| event(1_000 * partition + at)).collect();
        Self {
            messages: (0..partitions)
                .map(|partition| (partition, events(partition)))
                .collect(),
            read: vec![0; usize::try_from(partitions).unwrap()],
            ..Self::default()
        }
    }

    /// Puts something else in place of a message.
    pub(crate) fn replace(&mut self, partition: i32, offset: usize, value: &[u8]) {
        self.messages.get_mut(&partition).unwrap()[offset] = value.to_vec();
    }

    /// A plan for all of it.
    pub(crate) fn plan(&self) -> Plan {
        let ranges = self.messages.iter().map(|(&partition, messages)| Range {
            partition,
            next: 0,
            end: i64::try_from(messages.len()).unwrap(),
        });
        Plan {
            ranges: ranges.collect(),
            losses: Vec::new(),
        }
    }
}

impl Source for Topic {
    fn poll(&mut self, _wait: Duration) -> Result<Option<Polled<'_>>, Failure> {
        // One of each partition in turn.
        let Some(range) = self.ranges.first().copied() else {
            return Ok(None);
        };
        self.ranges.rotate_left(1);
        let Range {
            partition, next, ..
        } = range;
        if self.broken.get(&partition) == Some(&next) {
            self.finish(partition)?;
            let error = KafkaError::Partition {
                partition,
                offset: next,
                cause: "a test".to_owned(),
            };
            return Ok(Some(Polled::Failed { partition, error }));
        }
        let last = self.ranges.last_mut().unwrap();
        last.next += 1;
        if last.next == last.end {
            self.ranges.pop();
        }
        if let Some((left, stop)) = &mut self.stop_after {
            *left -= 1;
            if *left == 0 {
                stop.request();
                self.stop_after = None;
            }
        }
        self.read[usize::try_from(partition).unwrap()] += 1;
        let at = usize::try_from(next).unwrap();
        Ok(Some(Polled::Message(Message::Value {
            partition,
            offset: next,
            value: Some(&self.messages[&partition][at]),
        })))
    }

    fn is_done(&self) -> bool {
        self.ranges.is_empty()
    }

    fn assign(&mut self, ranges: &[Range]) -> Result<(), Failure> {
        self.ranges = ranges.to_vec();
        self.ranges.retain(|range| range.next < range.end);
        Ok(())
    }

    fn finish(&mut self, partition: i32) -> Result<(), Failure> {
        self.ranges.retain(|range| range.partition != partition);
        Ok(())
    }

    fn can_be_read_again(&self) -> bool {
        !self.is_pipe
    }
}

/// What a database holds.
#[derive(Default)]
pub(crate) struct Tables {
    /// Where recording has got to in each partition.
    pub(crate) offsets: BTreeMap<i32, i64>,
    /// Numbers of the events, in the order in which they were recorded.
    pub(crate) checks: Vec<i32>,
    /// Reasons of the dead letters.
    pub(crate) dead_letters: Vec<String>,
    /// How many messages each transaction had.
    pub(crate) transactions: Vec<usize>,
    /// Events that no table takes.
    pub(crate) refused: BTreeSet<i32>,
    /// Whether every commit fails.
    pub(crate) is_away: bool,
}

/// A connection to a database.
#[derive(Clone, Default)]
pub(crate) struct Database {
    tables: Arc<Mutex<Tables>>,
    /// Commits take until they are interrupted.
    pub(crate) hangs: bool,
    interrupted: Arc<AtomicBool>,
}

impl Database {
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock()
    }

    /// Numbers of the events recorded, in their order.
    pub(crate) fn recorded(&self) -> Vec<i32> {
        let mut recorded = self.tables().checks.clone();
        recorded.sort_unstable();
        recorded
    }
}

impl Commit for Database {
    fn commit(&mut self, batch: &Batch) -> Result<Committed, Failure> {
        if self.hangs {
            while !self.interrupted.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            return Err(Failure::Unavailable("interrupted".to_owned()));
        }
        let mut tables = self.tables();
        if tables.is_away {
            return Err(Failure::Unavailable("away".to_owned()));
        }
        let mut fenced = Vec::new();
        for part in &batch.parts {
            if *tables.offsets.entry(part.partition).or_insert(part.from) != part.from {
                fenced.push(part.partition);
            }
        }
        if !fenced.is_empty() {
            return Ok(Committed::Fenced(fenced));
        }
        let numbers: Vec<i32> = batch.rows().map(|row| row.total_us).collect();
        let (refused, taken): (Vec<i32>, Vec<i32>) = numbers
            .iter()
            .partition(|number| tables.refused.contains(number));
        if !refused.is_empty() && batch.originals().is_none() {
            return Ok(Committed::Refused);
        }
        let moved = batch.parts.iter().map(|part| (part.partition, part.next));
        tables.offsets.extend(moved);
        tables
            .transactions
            .push(batch.parts.iter().map(Part::len).sum());
        let mut reasons: Vec<String> = batch
            .dead_letters()
            .map(|(_, dead_letter)| dead_letter.reason.clone())
            .collect();
        reasons.extend(refused.iter().map(|number| format!("refused {number}")));
        let counters = Counters {
            recorded: taken.len() as u64,
            dead_letters: reasons.len() as u64,
            batches: 1,
            ..Counters::default()
        };
        tables.checks.extend(taken);
        tables.dead_letters.extend(reasons);
        Ok(Committed::Written(counters))
    }

    fn interrupt(&self) -> Interrupt {
        let interrupted = Arc::clone(&self.interrupted);
        Arc::new(move || interrupted.store(true, Ordering::Relaxed))
    }
}

/// How a run over a topic in memory is made, and how it went.
pub(crate) struct Drain {
    pub(crate) topic: Topic,
    pub(crate) database: Database,
    pub(crate) stop: Stop,
    pub(crate) batch_size: usize,
    pub(crate) writers: usize,
    pub(crate) max_dead_letters: u64,
}

impl Drain {
    pub(crate) fn of(topic: Topic) -> Self {
        Self {
            topic,
            database: Database::default(),
            stop: Stop::never(),
            batch_size: 10,
            writers: 2,
            max_dead_letters: u64::MAX,
        }
    }

    /// Drains all of the topic, every partition of which is ours.
    pub(crate) fn run(&mut self) -> (Ledger, Result<Option<Why>, Failure>) {
        let plan = self.topic.plan();
        let stores = vec![self.database.clone(); self.writers];
        let mut filling = Filling::new(self.batch_size, self.writers);
        if self.topic.is_pipe {
            filling = filling.with_originals();
        }
        let mut pump = Pump {
            decoder: Decoder::new(Window::ours()),
            filling,
            writers: Writers::start(stores),
            ledger: Ledger::new("topic", &plan, self.max_dead_letters),
            progress: Progress::none(),
            stop: self.stop.clone(),
        };
        let all = Acquired {
            ranges: plan.ranges.clone(),
            recorded: BTreeMap::new(),
            busy: BTreeSet::new(),
        };
        pump.begin(&plan.ranges, &all, &mut self.topic).unwrap();
        let ended = pump.run(&mut self.topic);
        pump.finish(ended, &self.stop)
    }
}
