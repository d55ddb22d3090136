//! Incidents as they were told.

use std::collections::HashMap;

use jiff::Timestamp;
use postgres::types::Type;
use postgres::{Row, Transaction};
use uuid::Uuid;

use super::Parameter;
use crate::decide::Incident;
use crate::event::Kind;
use crate::settings::Telling;

/// Those that are open, and those that ended so late that what is seen may belong to them; oldest
/// first.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn read(
    transaction: &mut Transaction<'_>,
    telling: &Telling,
    since: Timestamp,
) -> Result<Vec<Incident>, postgres::Error> {
    let ended_after = since.checked_sub(telling.flap_window).unwrap_or(since);
    let rows = transaction.query_typed(
        "select id, key, website_id, kind, opened_at, last_opened_at, last_closed_at, closed_at,
             times, reminders, reminded_at, acknowledged_at, acknowledged_by, is_told, is_down
         from notified_incidents
         where closed_at is null or closed_at >= $1
         order by id",
        &[(&ended_after, Type::TIMESTAMPTZ)],
    )?;
    Ok(rows.iter().filter_map(incident).collect())
}

/// `None`: of a kind that a later release has added.
fn incident(row: &Row) -> Option<Incident> {
    Some(Incident {
        id: Some(row.get(0)),
        key: row.get(1),
        website: row.get(2),
        kind: Kind::parse(row.get(3))?,
        opened_at: row.get(4),
        last_opened_at: row.get(5),
        last_closed_at: row.get(6),
        closed_at: row.get(7),
        times: row.get(8),
        reminders: row.get(9),
        reminded_at: row.get(10),
        acknowledged_at: row.get(11),
        acknowledged_by: row.get(12),
        is_told: row.get(13),
        is_down: row.get(14),
        outcome: None,
        error: None,
        certificate_not_after: None,
        tell: Vec::new(),
        must_be_stored: false,
    })
}

/// The sites with an open incident of a certificate, and those with one of monitoring.
pub(super) fn sites_told(incidents: &[Incident]) -> (Vec<i32>, Vec<i32>) {
    let of = |kind| {
        incidents
            .iter()
            .filter(|incident| incident.kind == kind && incident.is_open())
            .map(|incident| incident.website)
            .collect()
    };
    (of(Kind::Certificate), of(Kind::Monitoring))
}

/// Stores what is new and what changed; afterwards each has its id.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn store(
    transaction: &mut Transaction<'_>,
    incidents: &mut [Incident],
) -> Result<(), postgres::Error> {
    // One that is over makes room for the next one of its site first.
    let (stored, new): (Vec<&Incident>, Vec<&Incident>) = incidents
        .iter()
        .filter(|incident| incident.must_be_stored)
        .partition(|incident| incident.id.is_some());
    let ids = column(&stored, |incident| incident.id);
    let reminders = column(&stored, |incident| incident.reminders);
    let reminded = column(&stored, |incident| incident.reminded_at);
    let mut parameters: Vec<Parameter<'_>> = vec![
        (&ids, Type::INT8_ARRAY),
        (&reminders, Type::INT4_ARRAY),
        (&reminded, Type::TIMESTAMPTZ_ARRAY),
    ];
    let columns = Columns::of(&stored);
    parameters.extend(columns.parameters());
    transaction.execute_typed(
        "update notified_incidents set reminders = new.reminders, reminded_at = new.reminded_at,
             last_opened_at = new.last_opened_at, last_closed_at = new.last_closed_at,
             closed_at = new.closed_at, times = new.times, is_told = new.is_told, is_down = new.is_down
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
             as new (id, reminders, reminded_at, last_opened_at, last_closed_at, closed_at, times, is_told, is_down)
         where notified_incidents.id = new.id",
        &parameters,
    )?;
    let keys = column(&new, |incident| incident.key);
    let websites = column(&new, |incident| incident.website);
    let kinds = column(&new, |incident| incident.kind.word());
    let opened = column(&new, |incident| incident.opened_at);
    let mut parameters: Vec<Parameter<'_>> = vec![
        (&keys, Type::UUID_ARRAY),
        (&websites, Type::INT4_ARRAY),
        (&kinds, Type::TEXT_ARRAY),
        (&opened, Type::TIMESTAMPTZ_ARRAY),
    ];
    let columns = Columns::of(&new);
    parameters.extend(columns.parameters());
    let rows = transaction.query_typed(
        "insert into notified_incidents (key, website_id, kind, opened_at, last_opened_at,
             last_closed_at, closed_at, times, is_told, is_down)
         select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         returning key, id",
        &parameters,
    )?;
    let ids: HashMap<Uuid, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for incident in incidents {
        incident.id = incident.id.or_else(|| ids.get(&incident.key).copied());
    }
    Ok(())
}

/// The columns that are written whether an incident is new or not.
struct Columns {
    last_opened: Vec<Timestamp>,
    last_closed: Vec<Option<Timestamp>>,
    closed: Vec<Option<Timestamp>>,
    times: Vec<i32>,
    told: Vec<bool>,
    down: Vec<bool>,
}

impl Columns {
    fn of(incidents: &[&Incident]) -> Self {
        Self {
            last_opened: column(incidents, |incident| incident.last_opened_at),
            last_closed: column(incidents, |incident| incident.last_closed_at),
            closed: column(incidents, |incident| incident.closed_at),
            times: column(incidents, |incident| incident.times),
            told: column(incidents, |incident| incident.is_told),
            down: column(incidents, |incident| incident.is_down),
        }
    }

    fn parameters(&self) -> [Parameter<'_>; 6] {
        [
            (&self.last_opened, Type::TIMESTAMPTZ_ARRAY),
            (&self.last_closed, Type::TIMESTAMPTZ_ARRAY),
            (&self.closed, Type::TIMESTAMPTZ_ARRAY),
            (&self.times, Type::INT4_ARRAY),
            (&self.told, Type::BOOL_ARRAY),
            (&self.down, Type::BOOL_ARRAY),
        ]
    }
}

fn column<T>(incidents: &[&Incident], value: impl Fn(&Incident) -> T) -> Vec<T> {
    incidents.iter().map(|incident| value(incident)).collect()
}

/// Removes what has been over for long, with what was told of it.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn forget_old(transaction: &mut Transaction<'_>) -> Result<(), postgres::Error> {
    transaction.execute_typed(
        "delete from notified_incidents where id in (
             select id from notified_incidents
             where closed_at < now() - interval '180 days'
             order by closed_at
             limit 1000
         )",
        &[],
    )?;
    Ok(())
}
