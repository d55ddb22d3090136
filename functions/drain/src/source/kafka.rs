//! A run over the topic: plan, take partitions, read and write, tell Kafka's tools.

use std::collections::BTreeMap;
use std::time::Duration;

use postgres::Client;
use sitewatch::kafka::{KafkaError, KafkaSettings, Polled, Range, Reader};
use sitewatch::postgres::{check_schema, connect};
use sitewatch::run::{Exit, Failure, Run, Stop, Summary, Why};
use sitewatch::settings::Problems;

use crate::batch::{Batch, Letter, Origin};
use crate::plan::{Loss, Plan};
use crate::row::Known;
use crate::settings::Settings;
use crate::store::{self, Store};
use crate::summary::Figures;
use crate::workers::{Report, Workers};

/// How long one look for messages may take; signals and reports are seen between looks.
const LOOK: Duration = Duration::from_millis(20);

/// Memory of the batches being filled, all partitions together, at which the fullest is handed to
/// a writer although it could hold more events.
const MAX_BUFFERED: usize = 16 << 20;

/// Moves what is pending on the topic into PostgreSQL.
pub(crate) fn drain(
    settings: &Settings,
    kafka: &KafkaSettings,
    run: &Run,
) -> Result<Summary, Failure> {
    let stop = run
        .stop
        .no_later_than(Some(run.started + settings.deadline));
    let (client, reader) = connect_both(settings, kafka)?;
    let (mut client, mut reader) = (client, reader);
    let stored = store::stored(&mut client, &kafka.topic)?;
    let bounds = reader.bounds()?;
    let plan = Plan::new(&bounds, &stored, settings.offset_reset)
        .map_err(|losses| undecided(&kafka.topic, &losses))?;
    let mut figures = Figures::default();
    if !plan.losses.is_empty() {
        store::record_losses(&mut client, &settings.database, &kafka.topic, &plan.losses)?;
        for loss in &plan.losses {
            log::warn!(
                "{} partition {}: recording had got to offset {}, goes on at {}: {}",
                kafka.topic,
                loss.partition,
                loss.from,
                loss.to,
                loss.reason
            );
            figures.lost += loss.messages();
        }
    }
    log::debug!(
        "{} offsets pending in {} partitions",
        plan.pending(),
        plan.ranges.len()
    );
    if plan.ranges.is_empty() {
        commit_group(&mut reader, &positions(&bounds, &stored, &plan));
        reader.close();
        return Ok(figures.summary());
    }

    let wanted: Vec<i32> = plan.ranges.iter().map(|range| range.partition).collect();
    let taken = store::claim(&mut client, &kafka.topic, &wanted)?;
    // What the drain before us recorded between our plan and our claim must not be read again.
    let mut first_connection = connect(&settings.database, "drain")?;
    let new: Vec<Range> = plan
        .ranges
        .iter()
        .filter(|range| taken.contains(&range.partition) && !stored.contains_key(&range.partition))
        .copied()
        .collect();
    if !new.is_empty() {
        store::begin_partitions(&mut first_connection, &kafka.topic, &new)?;
    }
    let stored = store::stored(&mut first_connection, &kafka.topic)?;
    let ranges: Vec<Range> = plan
        .ranges
        .iter()
        .filter(|range| taken.contains(&range.partition))
        .map(|range| Range {
            next: stored.get(&range.partition).copied().unwrap_or(range.next),
            ..*range
        })
        .filter(|range| range.next < range.end)
        .collect();
    figures.busy = (wanted.len() - taken.len()) as u64;

    let mut connections = vec![first_connection];
    while connections.len() < settings.workers.min(ranges.len()) {
        connections.push(connect(&settings.database, "drain")?);
    }
    let stores = connections
        .into_iter()
        .map(|client| Store::new(client, settings.database.clone(), Some(kafka.topic.clone())))
        .collect();
    let mut work = Work::new(settings.batch_size, &ranges, Workers::start(stores), stop);
    let outcome = reader
        .assign(&ranges)
        .map_err(Failure::from)
        .and_then(|()| work.read(&mut reader));
    let finished = work.finish(outcome);
    figures.add(work.figures);

    let mut positions = positions(&bounds, &stored, &plan);
    positions.retain(|(partition, _)| !ranges.iter().any(|range| range.partition == *partition));
    positions.extend(
        work.recorded
            .iter()
            .map(|(partition, next)| (*partition, *next)),
    );
    commit_group(&mut reader, &positions);
    reader.close();
    // Only now may other drains have the partitions.
    drop(client);

    let stopped = finished?;
    let summary = figures.summary();
    Ok(match stopped {
        Some(why) => {
            let mut summary = summary.exiting(Exit::Unfinished);
            summary.sentence = format!("{}; stopped by {}", summary.sentence, why.words());
            summary
        }
        None if figures.busy > 0 || figures.left > 0 => summary.exiting(Exit::Unfinished),
        None => summary,
    })
}

/// PostgreSQL and Kafka are reached at the same time: together they are most of a short run.
fn connect_both(settings: &Settings, kafka: &KafkaSettings) -> Result<(Client, Reader), Failure> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| Reader::connect(kafka));
        let client = connect(&settings.database, "drain").and_then(|mut client| {
            check_schema(&mut client)?;
            Ok(client)
        });
        let reader = reader
            .join()
            .map_err(|_| Failure::Defect("connecting to Kafka broke off".to_owned()))?;
        match (client, reader) {
            (Ok(client), Ok(reader)) => Ok((client, reader)),
            (Err(failure), Ok(_)) => Err(failure),
            (Ok(_), Err(error)) => Err(error.into()),
            // Both at once: say both, whoever mends one should not have to come back for the other.
            (Err(failure), Err(error)) => {
                log::error!("{error}");
                Err(failure)
            }
        }
    })
}

fn undecided(topic: &str, losses: &[Loss]) -> Failure {
    let mut problems = Problems::default();
    for loss in losses {
        problems.add(
            format!("{topic} partition {}", loss.partition),
            format!(
                "was recorded up to offset {}, and Kafka goes on at {}: {}; DRAIN_OFFSET_RESET=fail leaves it to you: earliest or latest goes on",
                loss.from, loss.to, loss.reason
            ),
        );
    }
    problems.into()
}

/// The recorded offset of every partition, as far as it is known without this run's work.
fn positions(
    bounds: &[sitewatch::kafka::PartitionBounds],
    stored: &BTreeMap<i32, i64>,
    plan: &Plan,
) -> Vec<(i32, i64)> {
    bounds
        .iter()
        .filter_map(|bound| {
            let moved = plan
                .losses
                .iter()
                .find(|loss| loss.partition == bound.partition);
            moved
                .map(|loss| loss.to)
                .or_else(|| stored.get(&bound.partition).copied())
                .map(|next| (bound.partition, next))
        })
        .collect()
}

/// For lag tools and autoscalers only: what is recorded is in PostgreSQL.
fn commit_group(reader: &mut Reader, positions: &[(i32, i64)]) {
    if positions.is_empty() {
        return;
    }
    if let Err(error) = reader.commit(positions) {
        log::warn!(
            "the group's offsets were not told to Kafka, so its tools show too much lag: {error}"
        );
    }
}

/// Reading and writing, until the plan is done or the run must stop.
struct Work {
    batch_size: usize,
    batches: BTreeMap<i32, Filling>,
    known: Known,
    workers: Workers,
    stop: Stop,
    figures: Figures,
    /// Offset up to which each partition is recorded by this run.
    recorded: BTreeMap<i32, i64>,
    /// Partitions in which PostgreSQL refused a row, and where the batch with it begins.
    read_again: BTreeMap<i32, i64>,
    failure: Option<Failure>,
}

/// A partition's batch being filled.
struct Filling {
    batch: Batch,
    end: i64,
    /// Another drain was quicker, or the partition cannot be read on.
    given_up: bool,
}

impl Work {
    fn new(batch_size: usize, ranges: &[Range], workers: Workers, stop: Stop) -> Self {
        Self {
            batch_size,
            batches: ranges
                .iter()
                .map(|range| {
                    let filling = Filling {
                        batch: Batch::starting_at(Origin::Partition(range.partition), range.next),
                        end: range.end,
                        given_up: false,
                    };
                    (range.partition, filling)
                })
                .collect(),
            known: Known::default(),
            workers,
            stop,
            figures: Figures::default(),
            recorded: BTreeMap::new(),
            read_again: BTreeMap::new(),
            failure: None,
        }
    }

    /// Reads every range to its end and hands full batches to the writers. `Some` when it had to
    /// stop before.
    fn read(&mut self, reader: &mut Reader) -> Result<Option<Why>, Failure> {
        loop {
            if let Some(why) = self.stop.requested() {
                return Ok(Some(why));
            }
            while let Some(report) = self.workers.report() {
                self.note(report, Some(&mut *reader));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if !self.read_again.is_empty() {
                self.go_back(reader)?;
                continue;
            }
            if reader.is_done() {
                if !self.hand_over_all()? {
                    return Ok(self.stop.requested());
                }
                if self.workers.idle() && self.read_again.is_empty() {
                    return Ok(None);
                }
                if let Some(report) = self.workers.wait(LOOK) {
                    self.note(report, None);
                }
                continue;
            }
            let mut full = None;
            match reader.poll(LOOK)? {
                None => {}
                Some(Polled::Message(message)) => {
                    if let Some(filling) = self.batches.get_mut(&message.partition()) {
                        filling.batch.add(
                            &Letter {
                                offset: message.offset(),
                                key: message.key(),
                                value: message.payload(),
                                timestamp_ms: message.timestamp_ms(),
                            },
                            &mut self.known,
                            message.headers(),
                        );
                        if filling.batch.len() >= self.batch_size {
                            full = Some(message.partition());
                        }
                    }
                }
                Some(Polled::Position { partition, next }) => {
                    if let Some(filling) = self.batches.get_mut(&partition) {
                        filling.batch.next = filling.batch.next.max(next);
                    }
                }
                Some(Polled::Failed { partition, error }) => self.give_up(partition, &error),
            }
            if full.is_none() && self.buffered() > MAX_BUFFERED {
                full = self
                    .batches
                    .iter()
                    .max_by_key(|(_, filling)| filling.batch.bytes())
                    .map(|(partition, _)| *partition);
            }
            if let Some(partition) = full
                && !self.hand_over(partition, Some(&mut *reader))?
            {
                return Ok(self.stop.requested());
            }
        }
    }

    fn hand_over_all(&mut self) -> Result<bool, Failure> {
        for partition in self.batches.keys().copied().collect::<Vec<_>>() {
            if !self.hand_over(partition, None)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn buffered(&self) -> usize {
        self.batches
            .values()
            .map(|filling| filling.batch.bytes())
            .sum()
    }

    /// Gives the partition's batch to its writer, waiting for room; `false` when the run must stop
    /// instead.
    fn hand_over(
        &mut self,
        partition: i32,
        mut reader: Option<&mut Reader>,
    ) -> Result<bool, Failure> {
        let Some(filling) = self.batches.get_mut(&partition) else {
            return Ok(true);
        };
        if filling.given_up || filling.batch.is_idle() {
            return Ok(true);
        }
        let mut batch = filling.batch.take();
        loop {
            batch = match self.workers.offer(batch) {
                Ok(()) => return Ok(true),
                Err(batch) => batch,
            };
            if let Some(report) = self.workers.wait(LOOK) {
                self.note(report, reader.as_deref_mut());
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.stop.requested().is_some() {
                return Ok(false);
            }
        }
    }

    fn note(&mut self, report: Report, reader: Option<&mut Reader>) {
        match report {
            Report::Written {
                partition,
                next,
                figures,
            } => {
                self.figures.add(figures);
                if let Some(partition) = partition {
                    self.recorded.insert(partition, next);
                }
            }
            // Behind a batch with a refused row, its followers find the offset not yet moved.
            Report::Overtaken { partition } if self.read_again.contains_key(&partition) => {}
            Report::Overtaken { partition } => {
                log::info!(
                    "partition {partition} was moved on by another drain; it is left to that one"
                );
                self.figures.busy += 1;
                if let Some(filling) = self.batches.get_mut(&partition) {
                    filling.given_up = true;
                }
                if let Some(reader) = reader
                    && let Err(error) = reader.finish(partition)
                {
                    log::warn!("{error}");
                }
            }
            Report::Refused { partition, from } => {
                log::warn!(
                    "PostgreSQL refuses a check of partition {partition}; it is read again from offset {from} to find which"
                );
                self.read_again.insert(partition, from);
            }
            Report::Failed(failure) => self.failure = Some(failure),
        }
    }

    /// Goes back to where PostgreSQL refused a row, this time keeping the messages. Batches of the
    /// partition that are still on their way find the offset elsewhere and write nothing.
    fn go_back(&mut self, reader: &mut Reader) -> Result<(), Failure> {
        while !self.workers.idle() {
            if let Some(report) = self.workers.wait(LOOK) {
                self.note(report, None);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.stop.requested().is_some() {
                return Ok(());
            }
        }
        for (partition, from) in std::mem::take(&mut self.read_again) {
            if let Some(filling) = self.batches.get_mut(&partition) {
                filling.batch =
                    Batch::starting_at(Origin::Partition(partition), from).with_originals();
                filling.given_up = false;
            }
        }
        let ranges: Vec<Range> = self
            .batches
            .iter()
            .filter(|(_, filling)| !filling.given_up)
            .map(|(partition, filling)| Range {
                partition: *partition,
                next: filling.batch.next,
                end: filling.end,
            })
            .collect();
        Ok(reader.assign(&ranges)?)
    }

    /// A partition that cannot be read on: what was read of it is recorded, the rest is left.
    fn give_up(&mut self, partition: i32, error: &KafkaError) {
        log::error!("{error}");
        if let Some(filling) = self.batches.get_mut(&partition) {
            self.figures.left += u64::try_from(filling.end - filling.batch.next).unwrap_or(0);
            filling.end = filling.batch.next;
        }
    }

    /// Waits for the writers and says how the run ended.
    fn finish(&mut self, outcome: Result<Option<Why>, Failure>) -> Result<Option<Why>, Failure> {
        let mut reports = Vec::new();
        self.workers
            .finish(&self.stop, |report| reports.push(report));
        for report in reports {
            self.note(report, None);
        }
        let stopped = outcome?;
        if let Some(failure) = self.failure.take() {
            // Asked to stop and cut short: that is no failure of PostgreSQL's.
            if stopped.is_none() || !matches!(failure, Failure::Unfinished(_)) {
                return Err(failure);
            }
        }
        if stopped.is_some() {
            for (partition, filling) in &self.batches {
                let reached = self
                    .recorded
                    .get(partition)
                    .copied()
                    .unwrap_or(filling.batch.from);
                if !filling.given_up {
                    self.figures.left += u64::try_from(filling.end - reached).unwrap_or(0);
                }
            }
        }
        Ok(stopped)
    }
}
