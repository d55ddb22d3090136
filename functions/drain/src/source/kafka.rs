//! A run over the topic: plan, acquire partitions, read and write, tell Kafka's tools.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use postgres::Client;
use sitewatch::postgres::{check_schema, connect, record_run_over};
use sitewatch::run::{Exit, Failure, Run, Summary};
use sitewatch::settings::Problems;
use sitewatch_kafka::{KafkaSettings, PartitionBounds, Range, Reader};

use super::work::Work;
use crate::plan::{Loss, Plan};
use crate::row::Known;
use crate::settings::{Settings, Start};
use crate::store::{self, Connections, Limits, PartitionLocks, Shared, Store, Stored, Topic};
use crate::summary::Counters;
use crate::window::Window;
use crate::workers::Workers;

/// Offsets that a drain acquires at a time, whole partitions at least. Enough to keep all writers
/// busy for a second or so; few enough that a second drain, started on the same backlog, finds
/// partitions to work on.
const SHARE: u64 = 50_000;

/// Moves what is pending on the topic into PostgreSQL.
///
/// # Errors
/// When Kafka or PostgreSQL cannot be used, or a person has to decide.
pub(crate) fn drain(
    settings: &Settings,
    kafka: &KafkaSettings,
    run: &Run,
) -> Result<Summary, Failure> {
    let (client, reader) = connect_both(settings, kafka)?;
    let client = Arc::new(Mutex::new(client));
    let result = reader.and_then(|reader| move_pending(settings, kafka, run, &client, reader));
    // A writer that was given up still has it.
    if !settings.dry_run
        && let Some(client) = Arc::into_inner(client)
    {
        let client = client.into_inner().unwrap_or_else(PoisonError::into_inner);
        record_run_over(client, "drain", run, &result);
    }
    result
}

fn move_pending(
    settings: &Settings,
    kafka: &KafkaSettings,
    run: &Run,
    client: &Shared,
    mut reader: Reader,
) -> Result<Summary, Failure> {
    let stop = run
        .stop
        .no_later_than(Some(run.started + settings.deadline));
    let topic = kafka.topic.as_str();
    let stored = store::stored(client, &settings.database, topic)?;
    let bounds = reader.bounds()?;
    let topic_id = topic_id(&reader, &stored, topic)?;
    let topic_id = topic_id.as_deref();
    let recreated = topic_id.map_or_else(BTreeSet::new, |id| stored.of_another_topic(id));
    let mut stored = stored.offsets;
    let starts = starts(settings.start, &mut reader, &stored)?;
    let plan = Plan::new(
        &bounds,
        &starts,
        &recreated,
        settings.offset_reset,
        settings.start,
    )
    .map_err(|losses| undecided(topic, &losses))?;
    if settings.dry_run {
        return show(topic, &bounds, &stored, &plan);
    }
    let mut counters = Counters::default();
    if !plan.losses.is_empty() {
        store::record_losses(client, &settings.database, topic, topic_id, &plan.losses)?;
        for loss in &plan.losses {
            log::warn!(
                "{topic} partition {}: recording had got to offset {}, goes on at {}: {}",
                loss.partition,
                loss.from,
                loss.to,
                loss.reason
            );
            counters.lost += loss.messages();
            stored.insert(loss.partition, loss.to);
        }
    }
    let mut positions = positions(&bounds, &stored, &plan);
    if plan.ranges.is_empty() {
        commit_group(&mut reader, &positions);
        reader.close();
        return Ok(summary(counters, &plan));
    }

    let known = {
        let client = &mut store::lock(client);
        store::check_columns(client, &settings.database)?;
        store::end_zombies(client, &settings.database)?;
        Known::new(Window::read(client, &settings.database)?)
    };
    let connections = Connections::open(
        client,
        settings,
        settings.workers.min(plan.ranges.len()),
        // What is one batch is written sooner than locked.
        plan.pending() > settings.batch_size as u64,
    );
    let mut partition_locks = PartitionLocks::new(
        connections.locks,
        Arc::clone(client),
        settings.database.clone(),
        topic,
        topic_id,
    );
    let limits = Arc::new(Limits::new(settings.max_names));
    let stores = connections
        .writers
        .into_iter()
        .map(|client| {
            let topic = Topic {
                name: topic.to_owned(),
                id: topic_id.map(str::to_owned),
            };
            let limits = Arc::clone(&limits);
            Store::new(client, settings.database.clone(), Some(topic), limits)
        })
        .collect();
    let workers = Workers::start(stores);
    let mut work = Work::new(settings, topic, &plan, known, workers, run, stop);
    let mut outcome = Ok(None);
    let mut drain = |ranges: &[Range], stored: &BTreeMap<i32, i64>, work: &mut Work| {
        acquire(settings, &mut partition_locks, ranges, stored, work)
            .and_then(|ranges| Ok(reader.assign(&ranges)?))
            .and_then(|()| work.read(&mut reader))
    };
    for share in shares(&plan.ranges, settings.workers) {
        outcome = drain(share, &stored, &mut work);
        if !matches!(outcome, Ok(None)) {
            break;
        }
    }
    if matches!(outcome, Ok(None)) && !work.busy.is_empty() {
        // Once more: the drain that had them may have ended before their end, and then nobody is at
        // work on the rest. They were gone back to already, if they were to be.
        let ranges = plan.ranges.iter();
        let busy: Vec<Range> = ranges
            .filter(|range| work.busy.contains(&range.partition))
            .copied()
            .collect();
        outcome = drain(&busy, &BTreeMap::new(), &mut work);
    }
    let finished = work.finish(outcome);
    counters.add(work.counters);
    counters.busy = work.busy.len() as u64;

    positions.extend(&work.recorded);
    commit_group(&mut reader, &positions.into_iter().collect());
    reader.close();
    // Only now may other drains have the partitions.
    drop(partition_locks);

    let stopped = finished?;
    if stopped.is_some() {
        counters.left = work.left();
    }
    let summary = summary(counters, &plan);
    Ok(match stopped {
        Some(why) => {
            let mut summary = summary.exiting(Exit::Unfinished);
            summary.sentence = format!("{}; stopped by {why}", summary.sentence);
            summary
        }
        None if counters.left > 0 => summary.exiting(Exit::Unfinished),
        None => summary,
    })
}

/// The run's summary, with how much there was to do when it began: the lag that it found.
fn summary(counters: Counters, plan: &Plan) -> Summary {
    let mut summary = counters.summary();
    summary.counters.push(("pending", plan.pending()));
    summary
}

/// PostgreSQL and Kafka are reached at the same time: together they are most of a short run.
/// Without Kafka there is still PostgreSQL to leave a trace in.
fn connect_both(
    settings: &Settings,
    kafka: &KafkaSettings,
) -> Result<(Client, Result<Reader, Failure>), Failure> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| Reader::connect(kafka));
        let client = connect(&settings.database, "drain").and_then(|mut client| {
            check_schema(&mut client)?;
            Ok(client)
        });
        let reader = reader
            .join()
            .map_err(|_| Failure::InternalError("connecting to Kafka panicked".to_owned()))?;
        match (client, reader) {
            (Ok(client), reader) => Ok((client, reader.map_err(Failure::from))),
            (Err(failure), Ok(_)) => Err(failure),
            // Both at once: say both, whoever mends one should not have to come back for the other.
            (Err(failure), Err(error)) => {
                log::error!("{error}");
                Err(failure)
            }
        }
    })
}

/// The topic's id. Not to know it is an error only where it was known before: a recreated topic
/// would otherwise go unnoticed.
fn topic_id(reader: &Reader, stored: &Stored, topic: &str) -> Result<Option<String>, Failure> {
    match reader.topic_id() {
        Ok(id) => Ok(id),
        Err(error) if stored.knows_id() => Err(error.into()),
        Err(error) => {
            log::warn!(
                "{error}: should {topic} be deleted and recreated, that shows only while it is shorter than what is recorded"
            );
            Ok(None)
        }
    }
}

/// Up to where each partition is known to be recorded.
fn starts(
    start: Start,
    reader: &mut Reader,
    stored: &BTreeMap<i32, i64>,
) -> Result<BTreeMap<i32, i64>, Failure> {
    Ok(match start {
        Start::Stored | Start::Earliest => stored.clone(),
        Start::Group => {
            let mut starts = stored.clone();
            for (partition, offset) in reader.group_offsets()? {
                if let Some(offset) = offset {
                    starts.entry(partition).or_insert(offset);
                }
            }
            starts
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

/// Says what a run would do.
fn show(
    topic: &str,
    bounds: &[PartitionBounds],
    stored: &BTreeMap<i32, i64>,
    plan: &Plan,
) -> Result<Summary, Failure> {
    let mut text = format!(
        "{:>9} {:>12} {:>12} {:>12}  {topic}\n",
        "partition", "recorded", "end", "pending"
    );
    for bound in bounds {
        let recorded = stored
            .get(&bound.partition)
            .map_or_else(|| "never".to_owned(), ToString::to_string);
        let range = plan
            .ranges
            .iter()
            .find(|range| range.partition == bound.partition);
        let pending = range.map_or(0, |range| range.end - range.next);
        let loss = plan
            .losses
            .iter()
            .find(|loss| loss.partition == bound.partition);
        let note = loss.map_or_else(String::new, |loss| {
            format!("  would go on at {}: {}", loss.to, loss.reason)
        });
        text.push_str(&format!(
            "{:>9} {recorded:>12} {:>12} {pending:>12}{note}\n",
            bound.partition, bound.end
        ));
    }
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(Summary::done(
        format!(
            "dry run: {} offsets pending in {} partitions, nothing changed",
            plan.pending(),
            plan.ranges.len()
        ),
        vec![("pending", plan.pending())],
    ))
}

/// The recorded offset of every partition, as far as it is known without this run's work.
fn positions(
    bounds: &[PartitionBounds],
    stored: &BTreeMap<i32, i64>,
    plan: &Plan,
) -> BTreeMap<i32, i64> {
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

/// Cuts the plan into what is acquired at a time.
fn shares(ranges: &[Range], workers: usize) -> Vec<&[Range]> {
    let mut shares = Vec::new();
    let mut rest = ranges;
    while !rest.is_empty() {
        let mut pending = 0;
        let size = rest
            .iter()
            .take_while(|range| {
                let fits = pending < SHARE;
                pending += u64::try_from(range.end - range.next).unwrap_or(0);
                fits
            })
            .count();
        let (share, later) = rest.split_at(size.max(workers.min(rest.len())));
        shares.push(share);
        rest = later;
    }
    shares
}

/// Acquires a share's partitions, as far as no other drain has them, and says what is left to read
/// of them.
fn acquire(
    settings: &Settings,
    partition_locks: &mut PartitionLocks,
    share: &[Range],
    stored: &BTreeMap<i32, i64>,
    work: &mut Work,
) -> Result<Vec<Range>, Failure> {
    let mut ranges = partition_locks.acquire(share)?;
    if settings.start == Start::Earliest {
        partition_locks.go_back(&ranges, stored)?;
    }
    let acquired: BTreeSet<i32> = ranges.iter().map(|range| range.partition).collect();
    let now = partition_locks.stored()?;
    for range in share {
        let partition = range.partition;
        // What another drain has recorded since our plan is neither to be read again nor left.
        let stored = now.get(&partition).copied().unwrap_or(range.next);
        if stored > range.next {
            work.recorded.insert(partition, stored);
        }
        if acquired.contains(&partition) || stored >= range.end {
            work.busy.remove(&partition);
        } else {
            work.busy.insert(partition);
        }
    }
    for range in &mut ranges {
        range.next = now.get(&range.partition).copied().unwrap_or(range.next);
    }
    ranges.retain(|range| range.next < range.end);
    work.begin(&ranges);
    Ok(ranges)
}

/// For lag tools and autoscalers only: what is recorded is in PostgreSQL.
fn commit_group(reader: &mut Reader, positions: &BTreeMap<i32, i64>) {
    if positions.is_empty() {
        return;
    }
    let positions: Vec<(i32, i64)> = positions
        .iter()
        .map(|(partition, next)| (*partition, *next))
        .collect();
    if let Err(error) = reader.commit(&positions) {
        log::warn!(
            "the group's offsets were not told to Kafka, so its tools show too much lag: {error}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_few_small_partitions_or_one_large_one_for_each_writer() {
        let sizes = |ends: &[i64], workers: usize| -> Vec<usize> {
            let ranges: Vec<Range> = ends
                .iter()
                .zip(0..)
                .map(|(end, partition)| Range {
                    partition,
                    next: 0,
                    end: *end,
                })
                .collect();
            shares(&ranges, workers)
                .iter()
                .map(|share| share.len())
                .collect()
        };
        assert_eq!(sizes(&[10, 10, 10, 10], 2), [4]);
        assert_eq!(sizes(&[250_000; 4], 2), [2, 2]);
        assert_eq!(sizes(&[250_000; 4], 1), [1, 1, 1, 1]);
        assert_eq!(sizes(&[250_000; 3], 2), [2, 1]);
        assert_eq!(sizes(&[20_000, 20_000, 20_000, 20_000], 1), [3, 1]);
        assert_eq!(sizes(&[], 2), Vec::<usize>::new());
    }
}
