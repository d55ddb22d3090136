//! A run over the topic: plan, acquire, read and write (`pump.rs`), tell Kafka's tools, finish.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use postgres::Client;
use sitewatch::postgres::{check_schema, connect, record_run_over};
use sitewatch::run::{Exit, Failure, Progress, Run, Summary};
use sitewatch_kafka::{KafkaSettings, Reader};

use crate::acquire::{acquire, shares};
use crate::decode::{Decoder, Window};
use crate::filling::Filling;
use crate::finish::{Counters, commit_group, unfinished};
use crate::ledger::Ledger;
use crate::plan::{Plan, Survey};
use crate::pump::{Ended, Pump};
use crate::settings::Settings;
use crate::store::{self, Connections, Limits, Origin, PartitionLocks, Shared, Store};
use crate::write::Writers;

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
        let client = client.into_inner();
        record_run_over(client, "drain", run, &result);
    }
    result
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

fn move_pending(
    settings: &Settings,
    kafka: &KafkaSettings,
    run: &Run,
    client: &Shared,
    mut reader: Reader,
) -> Result<Summary, Failure> {
    let mut survey = Survey::take(settings, &kafka.topic, client, &mut reader)?;
    if settings.dry_run {
        return Ok(survey.show());
    }
    let mut counters = Counters {
        lost: survey.record_losses(client, &settings.database)?,
        ..Counters::default()
    };
    let mut positions = survey.positions();
    if survey.plan.ranges.is_empty() {
        commit_group(&mut reader, &positions);
        reader.close();
        return Ok(summary(counters, &survey.plan));
    }

    let (mut pump, mut locks) = begin(settings, run, client, &survey)?;
    let ended = read_shares(settings, &survey, &mut locks, &mut pump, &mut reader);
    let (ledger, stopped) = pump.finish(ended, &settings.stop(run));
    positions.extend(ledger.recorded());
    commit_group(&mut reader, &positions);
    reader.close();
    // Only now may other drains have the partitions.
    drop(locks);

    counters.add(ledger.counters());
    Ok(match stopped? {
        Some(why) => {
            counters.left = ledger.left();
            unfinished(
                summary(counters, &survey.plan),
                &format!("stopped by {why}"),
            )
        }
        None if counters.left > 0 => summary(counters, &survey.plan).exiting(Exit::Unfinished),
        None => summary(counters, &survey.plan),
    })
}

/// What only a run with something pending needs: connections, writers, and locks.
fn begin(
    settings: &Settings,
    run: &Run,
    client: &Shared,
    survey: &Survey,
) -> Result<(Pump, PartitionLocks), Failure> {
    let (plan, topic) = (&survey.plan, &survey.topic);
    let decoder = {
        let client = &mut client.lock();
        store::check_columns(client, &settings.database)?;
        store::end_zombies(client, &settings.database)?;
        Decoder::new(Window::read(client, &settings.database)?)
    };
    let connections = Connections::open(
        client,
        settings,
        settings.workers.min(plan.ranges.len()),
        // What is one batch is written sooner than locked.
        plan.pending() > settings.batch_size as u64,
        shares(&plan.ranges, settings.workers).len() > 1,
    );
    let locks = PartitionLocks::new(
        connections.locks,
        connections.shares,
        settings.database.clone(),
        topic.clone(),
    );
    let limits = Arc::new(Limits::new(settings.max_names));
    let store = |client| {
        let origin = Origin::Topic(topic.clone());
        Store::new(
            client,
            settings.database.clone(),
            origin,
            Arc::clone(&limits),
        )
    };
    let stores: Vec<Store> = connections.writers.into_iter().map(store).collect();
    let pump = Pump {
        decoder,
        filling: Filling::new(settings.batch_size, stores.len()),
        writers: Writers::start(stores),
        ledger: Ledger::new(&topic.name, plan, settings.max_dead_letters),
        progress: Progress::new(run, "offsets", plan.pending()),
        stop: settings.stop(run),
    };
    Ok((pump, locks))
}

/// Acquires the plan share by share, and reads each to its end.
fn read_shares(
    settings: &Settings,
    survey: &Survey,
    locks: &mut PartitionLocks,
    pump: &mut Pump,
    reader: &mut Reader,
) -> Result<(), Ended> {
    for share in shares(&survey.plan.ranges, settings.workers) {
        let acquired = acquire(locks, share, settings.start, &survey.stored)?;
        pump.begin(share, &acquired, reader)?;
        pump.read(reader)?;
    }
    pump.run(reader)?;
    let busy = pump.ledger.busy();
    if busy.is_empty() {
        return Ok(());
    }
    // Once more: the drain that had them may have ended before their end, and then nobody is at
    // work on the rest. They were gone back to already, if they were to be.
    let acquired = acquire(locks, &busy, settings.start, &BTreeMap::new())?;
    pump.begin(&busy, &acquired, reader)?;
    pump.run(reader)
}

/// The run's summary, with how much there was to do when it began: the lag that it found.
fn summary(counters: Counters, plan: &Plan) -> Summary {
    let mut summary = counters.summary();
    summary.counters.push(("pending", plan.pending()));
    summary
}
