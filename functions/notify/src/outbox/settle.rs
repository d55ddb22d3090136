//! What became of messages.

use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Transaction};
use sitewatch::postgres::{begin, retried};

use super::Outgoing;
use crate::settings::Telling;

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);

/// The pause after the first failure, which each further one doubles: a run that starts once a
/// minute is late for none of them.
const PAUSE: Duration = Duration::from_secs(50);

/// What became of a message in hand.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) outgoing: Outgoing,
    pub(crate) fate: Fate,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Its receiver took it.
    Sent,
    /// Its receiver did not.
    Refused {
        /// Why, without any secret.
        why: String,
        /// When the receiver wants to be asked again; `None`: it did not say.
        retry_after: Option<Duration>,
    },
    /// It was not tried: another one was refused, and so would this one have been.
    PutOff {
        /// How long, at least.
        pause: Option<Duration>,
    },
    /// It was not tried: the run ended.
    NotTried,
}

/// What was marked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    /// Messages given up.
    pub(crate) given_up: u64,
}

/// Marks what became of messages.
///
/// # Errors
/// PostgreSQL's; then nothing of it is marked.
pub(crate) fn settle(
    client: &mut Client,
    telling: &Telling,
    attempts: &[Attempt],
) -> Result<Settled, postgres::Error> {
    retried(|| {
        let mut transaction = begin(client, &telling.database)?;
        let mut settled = Settled::default();
        let sent: Vec<i64> = attempts
            .iter()
            .filter(|attempt| matches!(attempt.fate, Fate::Sent))
            .flat_map(|attempt| attempt.outgoing.rows.iter().copied())
            .collect();
        if !sent.is_empty() {
            transaction.execute_typed(
                "update notifications set sent_at = clock_timestamp(), error = null
                 where id = any ($1) and sent_at is null and given_up_at is null",
                &[(&sent, Type::INT8_ARRAY)],
            )?;
        }
        for attempt in attempts {
            settled.given_up += mark(&mut transaction, telling, attempt)?;
        }
        transaction.commit()?;
        Ok(settled)
    })
}

/// Marks what was not sent, and returns 1 if it was given up.
fn mark(
    transaction: &mut Transaction<'_>,
    telling: &Telling,
    attempt: &Attempt,
) -> Result<u64, postgres::Error> {
    let outgoing = &attempt.outgoing;
    let (failed, pause, error) = match &attempt.fate {
        Fate::Sent => return Ok(0),
        Fate::NotTried => (0, Duration::ZERO, None),
        Fate::PutOff { pause } => (0, pause.unwrap_or(PAUSE), None),
        Fate::Refused { why, retry_after } => {
            let own = pause_after(outgoing.attempts + 1);
            (1, own.max(retry_after.unwrap_or_default()), Some(why))
        }
    };
    let rows = transaction.query_typed(
        "update notifications set
             attempts = attempts + $2,
             next_attempt_at = clock_timestamp() + make_interval(secs => $3),
             error = coalesce($4, error),
             given_up_at = case
                 when $2 > 0 and decided_at < now() - make_interval(secs => $5) then clock_timestamp()
             end
         where id = any ($1) and sent_at is null and given_up_at is null
         returning given_up_at is not null",
        &[
            (&outgoing.rows, Type::INT8_ARRAY),
            (&failed, Type::INT4),
            (&pause.min(telling.give_up).as_secs_f64(), Type::FLOAT8),
            (&error, Type::TEXT),
            (&telling.give_up.as_secs_f64(), Type::FLOAT8),
        ],
    )?;
    let is_given_up = rows.iter().any(|row| row.get(0));
    if is_given_up {
        log::error!(
            "{:?} was given up: {}",
            outgoing.message.title(),
            error.map_or("", String::as_str)
        );
    }
    Ok(u64::from(is_given_up))
}

/// After so many failed attempts.
fn pause_after(attempts: i32) -> Duration {
    let doubled = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    PAUSE.saturating_mul(1 << doubled).min(MAX_PAUSE)
}

/// Gives up what is owed to a channel that was taken out of the settings so long ago that it would
/// have been given up by now.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn give_up_on_channels_that_are_gone(
    transaction: &mut Transaction<'_>,
    channels: &[&str],
    telling: &Telling,
) -> Result<u64, postgres::Error> {
    transaction.execute_typed(
        "update notifications set given_up_at = clock_timestamp(),
             error = 'NOTIFY_URLS names its channel no more'
         where sent_at is null and given_up_at is null and channel <> all ($1)
             and decided_at < now() - make_interval(secs => $2)",
        &[
            (&channels, Type::TEXT_ARRAY),
            (&telling.give_up.as_secs_f64(), Type::FLOAT8),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        for (attempts, seconds) in [
            (1, 50),
            (2, 100),
            (3, 200),
            (7, 3_200),
            (8, 3_600),
            (2_000, 3_600),
        ] {
            assert_eq!(pause_after(attempts), Duration::from_secs(seconds));
        }
    }
}
