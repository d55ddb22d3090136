//! The story of a run: partitions ahead, hours, days, then what is old, then the sums for reports.
//!
//! Every step is a transaction that leaves things true: a run that is killed anywhere has done
//! less, and nothing wrong.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use postgres::Client;
use sitewatch::postgres::{Cancel, check_schema, connect, record_run_over};
use sitewatch::run::{Failure, Progress, Run, Stop, Summary};

use crate::clock::{self, Clock, Doubt};
use crate::rollup::Rolled;
use crate::settings::Settings;
use crate::summary::Counters;
use crate::{ahead, days, hours, retention, running, trailing, verdicts};

/// Does a run's work.
///
/// # Errors
/// When PostgreSQL cannot be used. What was done until then stays done.
pub(crate) fn maintain(settings: &Settings, run: &Run) -> Result<Summary, Failure> {
    let mut client = connect(&settings.database, "maintain")?;
    check_schema(&mut client)?;
    let result = work(settings, run, &mut client);
    record_run_over(client, "maintain", run, &result);
    result
}

fn work(settings: &Settings, run: &Run, client: &mut Client) -> Result<Summary, Failure> {
    let stop = run
        .stop
        .no_later_than(run.started.checked_add(settings.deadline));
    let cancel = Cancel::new(client, &settings.database);
    let mut counters = Counters::default();
    let result = interruptible(&stop, &cancel, || {
        steps(client, settings, run, &stop, &mut counters)
    });
    match (result, stop.requested()) {
        (Ok(Finished::Everything), _) | (Ok(Finished::Early), None) => Ok(counters.summary(None)),
        // What was cancelled is done again by the next run.
        (Ok(Finished::Early) | Err(_), Some(why)) => Ok(counters.summary(Some(why))),
        (Err(failure), None) => Err(failure),
    }
}

/// How far a run came.
enum Finished {
    /// To its end.
    Everything,
    /// It was asked to end, or another run has the rest.
    Early,
}

fn steps(
    client: &mut Client,
    settings: &Settings,
    run: &Run,
    stop: &Stop,
    counters: &mut Counters,
) -> Result<Finished, Failure> {
    let clock = clock::read(client, settings)?;
    counters.partitions_made = ahead::make(client, settings, clock.today)?;

    let pending = hours::pending(client, settings)?;
    let each = |hour| hours::roll_up(client, settings, hour);
    let progress = Progress::new(run, "hours rolled up", pending.len() as u64);
    let rolled = roll_up(pending, progress, stop, &mut counters.hours, each)?;
    if matches!(rolled, Some(Rolled::Busy)) {
        counters.busy = true;
        return Ok(Finished::Early);
    }
    if verdicts::settle(client, settings, stop)? == Rolled::Busy {
        counters.busy = true;
        return Ok(Finished::Early);
    }
    let pending = days::pending(client, settings, clock.today)?;
    let each = |day| days::roll_up(client, settings, day);
    let progress = Progress::new(run, "days rolled up", pending.len() as u64);
    let rolled = roll_up(pending, progress, stop, &mut counters.days, each)?;
    if matches!(rolled, Some(Rolled::Busy)) {
        counters.busy = true;
        return Ok(Finished::Early);
    }
    let dropped = drop_what_is_old(client, settings, stop, &clock, counters)?;
    if matches!(dropped, Finished::Everything) {
        trailing::add_up(client, settings)?;
        running::add_up(client, settings)?;
    }
    Ok(dropped)
}

/// Rolls up what is pending, one after the other; `Busy` when another run is at it.
fn roll_up<T>(
    pending: Vec<T>,
    mut progress: Progress,
    stop: &Stop,
    done: &mut u64,
    mut each: impl FnMut(T) -> Result<Rolled, Failure>,
) -> Result<Option<Rolled>, Failure> {
    for (step, one) in pending.into_iter().enumerate() {
        progress.at(|| step as u64);
        if stop.requested().is_some() {
            break;
        }
        match each(one)? {
            Rolled::Done => *done += 1,
            Rolled::Nothing => {}
            Rolled::Busy => return Ok(Some(Rolled::Busy)),
        }
    }
    Ok(None)
}

fn drop_what_is_old(
    client: &mut Client,
    settings: &Settings,
    stop: &Stop,
    clock: &Clock,
    counters: &mut Counters,
) -> Result<Finished, Failure> {
    let today = match &clock.retention {
        Ok(today) => *today,
        Err(doubt) => {
            let why = match doubt {
                Doubt::NoChecks => None,
                Doubt::Clocks(why) => Some(why),
                // Where nothing is old by that clock either, there is nobody to wake.
                Doubt::Data(why) => (!retention::old_days(client, settings, clock.of_postgresql)?
                    .is_empty())
                .then_some(why),
            };
            if let Some(why) = why {
                log::error!("nothing was dropped: {why}");
                counters.doubted = true;
            }
            return Ok(Finished::Everything);
        }
    };
    for day in retention::old_days(client, settings, today)? {
        if stop.requested().is_some() {
            return Ok(Finished::Early);
        }
        if !retention::drop_day(client, settings, stop, day)? {
            // The days after it have to wait as well: they go oldest first.
            counters.left += 1;
            break;
        }
        counters.days_dropped += 1;
    }
    if stop.requested().is_some() {
        return Ok(Finished::Early);
    }
    match retention::drop_rollups(client, settings, stop)? {
        Some(dropped) => counters.partitions_dropped = dropped,
        None => counters.left += 1,
    }
    loop {
        if stop.requested().is_some() {
            return Ok(Finished::Early);
        }
        match retention::forget_names(client, settings, stop)? {
            Some(0) => break,
            Some(names) => counters.names_forgotten += names,
            None => {
                counters.left += 1;
                break;
            }
        }
    }
    loop {
        if stop.requested().is_some() {
            return Ok(Finished::Early);
        }
        match retention::forget_dead_letters(client, settings)? {
            0 => break,
            dead_letters => counters.dead_letters_forgotten += dead_letters,
        }
    }
    loop {
        if stop.requested().is_some() {
            return Ok(Finished::Early);
        }
        match retention::forget_evidence(client, settings)? {
            0 => break,
            evidence => counters.evidence_forgotten += evidence,
        }
    }
    Ok(Finished::Everything)
}

/// Runs `work` and, once the run should end, cancels the statement it waits for.
fn interruptible<T>(stop: &Stop, cancel: &Cancel, work: impl FnOnce() -> T) -> T {
    const POLL_INTERVAL: Duration = Duration::from_millis(50);
    let (done, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if stop.requested().is_some() {
                    cancel.cancel();
                }
            }
        });
        let result = work();
        drop(done);
        result
    })
}
