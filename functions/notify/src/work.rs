//! The story of a run: decide and write down, send, mark.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use postgres::Client;
use sitewatch::postgres::{check_schema, connect, explain, record_run_over, retried};
use sitewatch::run::{Failure, Run, Stop, Summary};
use sitewatch::units::counted;
use sitewatch::words::printable;

use crate::deliver::Delivery;
use crate::outbox::{self, Attempt, NoPlan, Plan};
use crate::routing::Channel;
use crate::settings::{Settings, Task, Telling};
use crate::summary::Counters;
use crate::trial;

/// How long after its deadline a run may live: it is ended from outside then.
const GRACE: Duration = Duration::from_secs(10);

/// How often a mark is tried whose connection broke, each time on a new one.
const MARK_ATTEMPTS: u32 = 5;

/// The pause before each of them: a server that is started again takes a moment.
const MARK_PAUSE: Duration = Duration::from_millis(500);

/// Does a run's work.
///
/// # Errors
/// When PostgreSQL cannot be used. What was decided until then stays decided, and is sent by the next
/// run.
pub(crate) fn notify(settings: &Settings, run: &Run) -> Result<Summary, Failure> {
    let telling = match &settings.task {
        Task::Test => return trial::run(&settings.channels),
        Task::Tell(telling) => telling,
    };
    let stop = run
        .stop
        .no_later_than(run.started.checked_add(settings.deadline));
    let mut client = connect(&telling.database, "notify")?;
    check_schema(&mut client)?;
    let result = tell(&mut client, telling, &settings.channels, &stop);
    if !telling.is_dry_run {
        record_run_over(client, "notify", run, &result);
    }
    result
}

fn tell(
    client: &mut Client,
    telling: &Telling,
    channels: &[Arc<Channel>],
    stop: &Stop,
) -> Result<Summary, Failure> {
    let in_hand = stop.remaining().unwrap_or_default() + GRACE;
    let plan = planned(client, telling, channels, in_hand)?;
    if telling.is_dry_run {
        return show(&plan, channels);
    }
    let mut counters = Counters {
        decided: plan.owed.len() as u64,
        given_up: plan.given_up,
        ..Counters::default()
    };
    let mut in_flight: u64 = plan.outgoing.iter().map(|one| one.len() as u64).sum();
    let mut delivery = Delivery::start(channels, plan.outgoing, plan.firing, stop);
    while let Some(attempts) = delivery.next() {
        let settled = mark(client, telling, &attempts, stop)?;
        in_flight -= attempts.len() as u64;
        counters.add(&attempts);
        counters.given_up += settled.given_up;
    }
    if in_flight > 0 && stop.requested().is_none() {
        return Err(Failure::InternalError(
            "sending to a channel panicked".to_owned(),
        ));
    }
    // Whether these were taken is not known: they are sent again, under the same keys.
    counters.left += in_flight;
    Ok(counters.summary(stop.requested()))
}

fn planned(
    client: &mut Client,
    telling: &Telling,
    channels: &[Arc<Channel>],
    in_hand: Duration,
) -> Result<Plan, Failure> {
    let mut wrong = None;
    let plan = retried(|| match outbox::plan(client, telling, channels, in_hand) {
        Ok(plan) => Ok(Some(plan)),
        Err(NoPlan::Database(error)) => Err(error),
        Err(NoPlan::Wrong(failure)) => {
            wrong = Some(failure);
            Ok(None)
        }
    })
    .map_err(|error| explain("deciding what to tell", &error))?;
    plan.ok_or_else(|| {
        wrong.unwrap_or_else(|| Failure::InternalError("there is no plan".to_owned()))
    })
}

/// Marks what became of messages, over a new connection if the old one broke: what was sent and not
/// marked is sent again.
fn mark(
    client: &mut Client,
    telling: &Telling,
    attempts: &[Attempt],
    stop: &Stop,
) -> Result<outbox::Settled, Failure> {
    let mut tries = 0;
    loop {
        let error = match outbox::settle(client, telling, attempts) {
            Ok(settled) => return Ok(settled),
            Err(error) => error,
        };
        tries += 1;
        if !client.is_closed() || tries >= MARK_ATTEMPTS || stop.requested().is_some() {
            return Err(explain("marking what was sent", &error));
        }
        std::thread::sleep(MARK_PAUSE);
        if let Ok(new) = connect(&telling.database, "notify") {
            *client = new;
        }
    }
}

/// Says what would be sent to whom and why.
fn show(plan: &Plan, channels: &[Arc<Channel>]) -> Result<Summary, Failure> {
    let mut text = String::new();
    let mut messages = 0;
    for (channel, outgoing) in channels.iter().zip(&plan.outgoing) {
        for one in outgoing {
            messages += 1;
            let why = if one.attempts > 0 {
                format!("again, after {} failed attempts", one.attempts)
            } else {
                format!(
                    "{}, decided {}",
                    one.message.event().word(),
                    one.message.decided_at
                )
            };
            text.push_str(&format!("{} ({why}):\n", channel.name));
            for line in one.message.text().lines() {
                text.push_str(&format!("    {}\n", printable(line)));
            }
        }
    }
    // A closed pipe is no failure.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(Summary::done(
        counted(messages, "message", "messages") + " would be sent",
        vec![("messages", messages)],
    ))
}
