//! Taking what is to be sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::Type;
use uuid::Uuid;

use crate::channel::Manner;
use crate::event::Phase;
use crate::message::{Message, Notice};
use crate::routing::Channel;

/// A message in hand, and the rows that it tells.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) message: Message,
    /// Their ids.
    pub(crate) rows: Vec<i64>,
    /// The incidents that it is about.
    pub(crate) incidents: HashSet<i64>,
    /// Attempts that failed so far.
    pub(crate) attempts: i32,
}

/// Takes all that is due, for each of these channels, in the order of decision. None of it is due
/// again before `in_hand` is over.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn claim(
    transaction: &mut Transaction<'_>,
    channels: &[&str],
    in_hand: Duration,
) -> Result<Vec<Vec<Outgoing>>, postgres::Error> {
    let rows = transaction.query_typed(
        "select id, incident_id, channel, message, thread, decided_at, attempts,
             next_attempt_at <= clock_timestamp(), notice::text
         from notifications
         where sent_at is null and given_up_at is null
         order by id",
        &[],
    )?;
    let mut outgoing: Vec<Vec<Pending>> = channels.iter().map(|_| Vec::new()).collect();
    let mut places: HashMap<(usize, Uuid), usize> = HashMap::new();
    for row in &rows {
        let name: &str = row.get(2);
        let Some(channel) = channels.iter().position(|channel| *channel == name) else {
            continue;
        };
        // Written by a later release, which will send it.
        let Ok(notice) = serde_json::from_str::<Notice>(row.get(8)) else {
            continue;
        };
        let key: Uuid = row.get(3);
        let of_channel = &mut outgoing[channel];
        let place = *places.entry((channel, key)).or_insert_with(|| {
            of_channel.push(Pending {
                is_due: true,
                outgoing: Outgoing {
                    message: Message {
                        key,
                        thread: row.get(4),
                        decided_at: row.get(5),
                        is_test: false,
                        notices: Vec::new(),
                    },
                    rows: Vec::new(),
                    incidents: HashSet::new(),
                    attempts: row.get(6),
                },
            });
            of_channel.len() - 1
        });
        let pending = &mut of_channel[place];
        pending.is_due &= row.get::<_, bool>(7);
        pending.outgoing.message.notices.push(notice);
        pending.outgoing.rows.push(row.get(0));
        pending.outgoing.incidents.insert(row.get(1));
    }
    let due: Vec<Vec<Outgoing>> = outgoing.into_iter().map(in_order).collect();
    let ids: Vec<i64> = due
        .iter()
        .flatten()
        .flat_map(|one| one.rows.iter().copied())
        .collect();
    if !ids.is_empty() {
        transaction.execute_typed(
            "update notifications set next_attempt_at = clock_timestamp() + make_interval(secs => $2)
             where id = any ($1)",
            &[(&ids, Type::INT8_ARRAY), (&in_hand.as_secs_f64(), Type::FLOAT8)],
        )?;
    }
    Ok(due)
}

struct Pending {
    is_due: bool,
    outgoing: Outgoing,
}

/// What is due, without what would overtake an earlier message about the same incident.
fn in_order(pending: Vec<Pending>) -> Vec<Outgoing> {
    let mut waiting: HashSet<i64> = HashSet::new();
    let mut due = Vec::new();
    for one in pending {
        if one.is_due && waiting.is_disjoint(&one.outgoing.incidents) {
            due.push(one.outgoing);
        } else {
            waiting.extend(&one.outgoing.incidents);
        }
    }
    due
}

/// What receivers that are to be told again and again were told of and goes on; `None` for all
/// other channels, and where nothing does.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn firing(
    transaction: &mut Transaction<'_>,
    channels: &[Arc<Channel>],
    outgoing: &[Vec<Outgoing>],
    now: Timestamp,
) -> Result<Vec<Option<Message>>, postgres::Error> {
    let mut firing = Vec::new();
    for (channel, in_hand) in channels.iter().zip(outgoing) {
        if channel.receiver.manner() != Manner::IsReminded {
            firing.push(None);
            continue;
        }
        let rows = transaction.query_typed(
            "select distinct on (told.incident_id) told.incident_id, told.notice::text
             from notified_incidents as incident
             join notifications as told on told.incident_id = incident.id
             where incident.closed_at is null and told.channel = $1 and told.sent_at is not null
             order by told.incident_id, told.id desc",
            &[(&channel.name, Type::TEXT)],
        )?;
        let told_now: HashSet<i64> = in_hand
            .iter()
            .flat_map(|one| one.incidents.iter().copied())
            .collect();
        let notices: Vec<Notice> = rows
            .iter()
            .filter(|row| !told_now.contains(&row.get(0)))
            .filter_map(|row| serde_json::from_str(row.get(1)).ok())
            .filter(|notice: &Notice| notice.event.phase() == Phase::Begins)
            .collect();
        firing.push((!notices.is_empty()).then(|| {
            let key = Uuid::now_v7();
            Message {
                key,
                thread: key,
                decided_at: now,
                is_test: false,
                notices,
            }
        }));
    }
    Ok(firing)
}
