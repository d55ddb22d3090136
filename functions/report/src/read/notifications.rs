//! What `notify` owes somebody, or gave up.

use jiff::Timestamp;
use postgres::Row;
use postgres::types::Type;
use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::cursor::Cursor;
use super::{Reader, every_row};
use crate::lines::NotificationLine;
use crate::output::{Each, Interrupted};
use crate::settings::Settings;

const QUERY: &str = "
    select notification.decided_at, notification.channel, notification.event, websites.name,
        notification.incident_id, notification.attempts, notification.next_attempt_at,
        notification.given_up_at, notification.error
    from notifications as notification
    join notified_incidents as incident on incident.id = notification.incident_id
    join websites on websites.id = incident.website_id
    where notification.sent_at is null and notification.decided_at >= $1
        and ($2::int4[] is null or incident.website_id = any ($2))
    order by notification.id desc
    limit $3";

const DOING: &str = "reading what was not told";

/// What was not told, the latest first.
pub(crate) struct Notifications(Cursor);

impl Notifications {
    /// Has the server put it together.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub(crate) fn open(reader: &mut Reader<'_>, settings: &Settings) -> Result<Self, Failure> {
        let since = settings.since.unwrap_or(Timestamp::UNIX_EPOCH);
        let limit = i64::try_from(settings.lines).unwrap_or(i64::MAX);
        let cursor = Cursor::open(
            &mut reader.transaction,
            "notifications",
            QUERY,
            &[
                (&since, Type::TIMESTAMPTZ),
                (&reader.only, Type::INT4_ARRAY),
                (&limit, Type::INT8),
            ],
        );
        Ok(Self(cursor.map_err(|error| explain(DOING, &error))?))
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.0.rows()
    }

    /// Hands each on.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked, and those of `each`.
    pub(crate) fn each(
        &self,
        reader: &mut Reader<'_>,
        each: Each<'_, NotificationLine>,
    ) -> Result<(), Interrupted> {
        every_row(reader, &self.0, DOING, &mut |row| {
            Ok(each(&notification(row))?)
        })
    }
}

fn notification(row: &Row) -> NotificationLine {
    let given_up_at: Option<Timestamp> = row.get(7);
    NotificationLine {
        decided_at: row.get(0),
        channel: row.get(1),
        event: row.get(2),
        site: row.get(3),
        incident: row.get(4),
        state: if given_up_at.is_some() {
            "given_up"
        } else {
            "pending"
        },
        attempts: row.get(5),
        next_attempt_at: given_up_at.is_none().then(|| row.get(6)),
        given_up_at,
        error: row.get(8),
    }
}

/// What a channel has not taken, in messages.
#[derive(Clone, Debug)]
pub(crate) struct Undelivered {
    pub(crate) channel: String,
    /// Those that are tried again.
    pub(crate) pending: i64,
    /// When the oldest of them was decided; `None`: there are none.
    pub(crate) pending_since: Option<Timestamp>,
    /// Those that were given up.
    pub(crate) given_up: i64,
}

/// What each channel has not taken; channels that took everything are left out.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn undelivered(reader: &mut Reader<'_>) -> Result<Vec<Undelivered>, Failure> {
    let rows = reader
        .transaction
        .query_typed(
            "select channel,
                 count(distinct message) filter (where given_up_at is null),
                 min(decided_at) filter (where given_up_at is null),
                 count(distinct message) filter (where given_up_at is not null)
             from notifications
             where sent_at is null
             group by channel
             order by channel",
            &[],
        )
        .map_err(|error| explain(DOING, &error))?;
    Ok(rows
        .iter()
        .map(|row| Undelivered {
            channel: row.get(0),
            pending: row.get(1),
            pending_since: row.get(2),
            given_up: row.get(3),
        })
        .collect())
}

/// How many messages were given up in the last 24 hours.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn given_up_of_late(reader: &mut Reader<'_>) -> Result<i64, Failure> {
    let row = reader.transaction.query_typed_one(
        "select count(distinct message)
         from notifications
         where sent_at is null and given_up_at > now() - interval '24 hours'",
        &[],
    );
    Ok(row.map_err(|error| explain(DOING, &error))?.get(0))
}
