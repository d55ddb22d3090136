//! Writing down what is owed: a row for each incident, event and channel.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::Type;
use uuid::Uuid;

use super::group::group;
use super::incidents;
use crate::channel::Manner;
use crate::decide::{Incident, Rules, Told};
use crate::event::{Event, Phase};
use crate::message::Notice;
use crate::read::{self, Site};
use crate::routing::Channel;

/// Something that a channel has to be told.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    /// Which channel, by its place in the list.
    pub(crate) channel: usize,
    /// The incident's id.
    pub(crate) incident: i64,
    /// Which one of its event.
    pub(crate) number: i32,
    /// The key of the message.
    pub(crate) message: Uuid,
    /// What it is told under; `None`: not known yet.
    pub(crate) thread: Option<Uuid>,
    /// What is told.
    pub(crate) notice: Notice,
    /// When it counts as sent at once, because the receiver's incident goes on for others.
    settled_at: Option<Timestamp>,
}

/// Stores the incidents and what is to be told of them, and returns what is owed now that was not
/// before.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn write(
    transaction: &mut Transaction<'_>,
    mut decided: Vec<Incident>,
    rules: &Rules<'_>,
    channels: &[Arc<Channel>],
) -> Result<Vec<Owed>, postgres::Error> {
    if decided.is_empty() {
        return Ok(Vec::new());
    }
    incidents::store(transaction, &mut decided)?;
    decided.retain(|incident| !incident.tell.is_empty());
    if decided.is_empty() {
        return Ok(Vec::new());
    }
    let websites = decided.iter().map(|incident| incident.website).collect();
    let sites = read::sites(transaction, &websites)?;
    let threads = threads(transaction, &decided)?;
    let mut all = Vec::new();
    for (index, channel) in channels.iter().enumerate() {
        let manner = channel.receiver.manner();
        let mut owed: Vec<Owed> = Vec::new();
        for incident in &decided {
            let (Some(id), Some(site)) = (incident.id, sites.get(&incident.website)) else {
                continue;
            };
            let thread = threads.get(&(id, channel.name.clone())).copied();
            let mut knows_it = thread.is_some();
            for told in &incident.tell {
                if !is_told(channel, manner, site, *told, knows_it) {
                    continue;
                }
                knows_it = true;
                owed.push(Owed {
                    channel: index,
                    incident: id,
                    number: told.number,
                    message: Uuid::nil(),
                    thread,
                    notice: notice(incident, id, site, *told),
                    settled_at: None,
                });
            }
        }
        group(&mut owed, manner, rules.telling);
        all.extend(owed);
    }
    settle_what_goes_on(transaction, &mut all, channels, rules)?;
    insert(transaction, all, channels)
}

/// Whoever was told of an incident is told how it goes on; a receiver that keeps incidents is told
/// of their end even if nobody asked for it.
fn is_told(channel: &Channel, manner: Manner, site: &Site, told: Told, knows_it: bool) -> bool {
    let takes_site = channel.route.takes_site(&site.name, &site.labels);
    // Who is not told of what is degraded is not told of its end.
    if told.event == Event::Up && !told.is_down && !knows_it {
        return false;
    }
    let must_end = manner != Manner::Tells && told.event.phase() == Phase::Ends && knows_it;
    manner.takes(told.event)
        && (must_end || channel.route.takes_event(told.event))
        && (takes_site || (knows_it && told.event.phase() != Phase::Begins))
}

fn notice(incident: &Incident, id: i64, site: &Site, told: Told) -> Notice {
    Notice {
        event: told.event,
        incident: id,
        key: incident.key,
        site: site.name.clone(),
        url: site.url.clone(),
        labels: site.labels.clone(),
        opened_at: incident.opened_at,
        closed_at: told.closed_at,
        outcome: incident.outcome.clone(),
        error: incident.error.clone(),
        times: told.times,
        is_down: told.is_down,
        certificate_not_after: incident.certificate_not_after,
        acknowledged_by: incident.acknowledged_by.clone(),
    }
}

/// What each channel was told an incident under; none where it was not told of it.
fn threads(
    transaction: &mut Transaction<'_>,
    decided: &[Incident],
) -> Result<HashMap<(i64, String), Uuid>, postgres::Error> {
    let ids: Vec<i64> = decided.iter().filter_map(|incident| incident.id).collect();
    let rows = transaction.query_typed(
        "select distinct on (incident_id, channel) incident_id, channel, thread
         from notifications
         where incident_id = any ($1)
         order by incident_id, channel, id",
        &[(&ids, Type::INT8_ARRAY)],
    )?;
    Ok(rows
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect())
}

/// A receiver's incident that stands for several of ours ends with the last of them.
fn settle_what_goes_on(
    transaction: &mut Transaction<'_>,
    owed: &mut [Owed],
    channels: &[Arc<Channel>],
    rules: &Rules<'_>,
) -> Result<(), postgres::Error> {
    let shared: Vec<Uuid> = owed
        .iter()
        .filter(|one| channels[one.channel].receiver.manner() == Manner::KeepsIncidents)
        .filter(|one| one.notice.event.phase() == Phase::Ends)
        .filter_map(|one| one.thread.filter(|thread| *thread != one.notice.key))
        .collect();
    if shared.is_empty() {
        return Ok(());
    }
    let rows = transaction.query_typed(
        "select distinct told.channel, told.thread
         from notifications as told
         join notified_incidents as incident on incident.id = told.incident_id
         where told.thread = any ($1) and incident.closed_at is null",
        &[(&shared, Type::UUID_ARRAY)],
    )?;
    let goes_on: HashSet<(String, Uuid)> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for one in owed {
        let name = &channels[one.channel].name;
        if one.notice.event.phase() == Phase::Ends
            && let Some(thread) = one.thread
            && goes_on.contains(&(name.clone(), thread))
        {
            one.settled_at = Some(rules.now);
        }
    }
    Ok(())
}

fn insert(
    transaction: &mut Transaction<'_>,
    owed: Vec<Owed>,
    channels: &[Arc<Channel>],
) -> Result<Vec<Owed>, postgres::Error> {
    let column = |value: fn(&Owed) -> String| owed.iter().map(value).collect::<Vec<String>>();
    let incidents: Vec<i64> = owed.iter().map(|one| one.incident).collect();
    let messages: Vec<Uuid> = owed.iter().map(|one| one.message).collect();
    let threads: Vec<Uuid> = owed
        .iter()
        .map(|one| one.thread.unwrap_or(one.notice.key))
        .collect();
    let numbers: Vec<i32> = owed.iter().map(|one| one.number).collect();
    let events = column(|one| one.notice.event.word().to_owned());
    let names: Vec<&str> = owed
        .iter()
        .map(|one| channels[one.channel].name.as_str())
        .collect();
    let notices = column(|one| {
        serde_json::to_string(&one.notice).expect("text, numbers and times can be written as JSON")
    });
    let settled: Vec<Option<Timestamp>> = owed.iter().map(|one| one.settled_at).collect();
    let rows = transaction.query_typed(
        "insert into notifications (incident_id, message, thread, number, event, channel, notice, sent_at)
         select incident_id, message, thread, number, event, channel, notice::jsonb, sent_at
         from unnest($1, $2, $3, $4, $5, $6, $7, $8)
             as new (incident_id, message, thread, number, event, channel, notice, sent_at)
         on conflict on constraint a_channel_is_told_once do nothing
         returning incident_id, event, number, channel",
        &[
            (&incidents, Type::INT8_ARRAY),
            (&messages, Type::UUID_ARRAY),
            (&threads, Type::UUID_ARRAY),
            (&numbers, Type::INT4_ARRAY),
            (&events, Type::TEXT_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&notices, Type::TEXT_ARRAY),
            (&settled, Type::TIMESTAMPTZ_ARRAY),
        ],
    )?;
    let new: HashSet<(i64, String, i32, String)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    Ok(owed
        .into_iter()
        .filter(|one| {
            new.contains(&(
                one.incident,
                one.notice.event.word().to_owned(),
                one.number,
                channels[one.channel].name.clone(),
            ))
        })
        .collect())
}
