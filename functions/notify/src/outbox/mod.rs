//! The outbox: incidents as they were told, and what is owed to whom.
//!
//! A run decides and takes what it will send in one transaction, which holds the row of
//! `notify_progress` locked: two runs never decide the same, nor have the same message in hand. What a
//! run has in hand is not due again before that run is surely over.

mod claim;
mod group;
mod incidents;
mod settle;
mod write;

pub(crate) use claim::{Outgoing, claim};
pub(crate) use settle::{Attempt, Fate, Settled, settle};
pub(crate) use write::{Owed, write};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postgres::types::{ToSql, Type};
use postgres::{Client, Transaction};
use sitewatch::postgres::begin;
use sitewatch::run::Failure;
use sitewatch::settings::{Problems, var};

use crate::decide::{self, Rules};
use crate::message::Message;
use crate::read;
use crate::routing::Channel;
use crate::settings::Telling;

/// A parameter of a statement.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What a run has to do.
pub(crate) struct Plan {
    /// What was decided now.
    pub(crate) owed: Vec<Owed>,
    /// What is to be sent, for each channel, in their order.
    pub(crate) outgoing: Vec<Vec<Outgoing>>,
    /// Messages given up because their channel is gone.
    pub(crate) given_up: u64,
    /// What goes on without being told as new: for receivers that are to be told again and again.
    pub(crate) firing: Vec<Option<Message>>,
}

/// Why there is no plan.
pub(crate) enum NoPlan {
    /// PostgreSQL's word.
    Database(postgres::Error),
    /// What was asked for is not there.
    Wrong(Failure),
}

impl From<postgres::Error> for NoPlan {
    fn from(error: postgres::Error) -> Self {
        Self::Database(error)
    }
}

/// Decides, and takes what is to be sent: all of it or, for a dry run, nothing is kept.
///
/// `in_hand` is how long at most it takes until this run is over.
///
/// # Errors
/// PostgreSQL's, and an acknowledgement of what there is not.
pub(crate) fn plan(
    client: &mut Client,
    telling: &Telling,
    channels: &[Arc<Channel>],
    in_hand: Duration,
) -> Result<Plan, NoPlan> {
    let mut transaction = begin(client, &telling.database)?;
    let row = transaction.query_typed_one(
        "select decided_at, clock_timestamp() from notify_progress for update",
        &[],
    )?;
    let decided_at: Option<Timestamp> = row.get(0);
    let rules = Rules {
        now: row.get(1),
        is_first: decided_at.is_none(),
        telling,
    };
    acknowledge(&mut transaction, &telling.acknowledge)?;
    let since = decided_at.or(telling.since).unwrap_or(rules.now);
    let since = since
        .min(rules.now)
        .checked_sub(read::OVERLAP)
        .unwrap_or(since);
    let known = incidents::read(&mut transaction, telling, since)?;
    let told = incidents::sites_told(&known);
    let seen = read::seen(&mut transaction, since, &told, telling)?;
    let decided = decide::decide(known, &seen, &rules);
    let owed = write(&mut transaction, decided, &rules, channels)?;
    transaction.execute_typed(
        "update notify_progress set decided_at = $1",
        &[(&rules.now, Type::TIMESTAMPTZ)],
    )?;
    let names: Vec<&str> = channels
        .iter()
        .map(|channel| channel.name.as_str())
        .collect();
    let given_up = settle::give_up_on_channels_that_are_gone(&mut transaction, &names, telling)?;
    let outgoing = claim(&mut transaction, &names, in_hand)?;
    let firing = claim::firing(&mut transaction, channels, &outgoing, rules.now)?;
    if !telling.is_dry_run {
        incidents::forget_old(&mut transaction)?;
        transaction.commit()?;
    }
    Ok(Plan {
        owed,
        outgoing,
        given_up,
        firing,
    })
}

fn acknowledge(transaction: &mut Transaction<'_>, ids: &[i64]) -> Result<(), NoPlan> {
    for id in ids {
        let found = transaction.execute_typed(
            "update notified_incidents set acknowledged_at = coalesce(acknowledged_at, now())
             where id = $1 and closed_at is null and kind = 'availability'",
            &[(id, Type::INT8)],
        )?;
        if found == 0 {
            let why = format!(
                "names {id}, which is no site that is down now; messages name the number of their incident"
            );
            return Err(NoPlan::Wrong(
                Problems::one(var::NOTIFY_ACKNOWLEDGE.name, why).into(),
            ));
        }
    }
    Ok(())
}
