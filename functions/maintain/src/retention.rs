//! What is old goes, a partition at a time.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{Span, ToSpan as _};
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, Row};
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::{Failure, Stop};

use crate::settings::Settings;

/// How long to wait for the lock that dropping needs. Whoever comes after us waits behind us that
/// long at most: a drain hardly notices.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// How often to try, with a pause in which those behind us go first.
const ATTEMPTS: u32 = 25;
const BACKOFF: Duration = Duration::from_millis(300);

/// The days of `checks` that are older than they are kept, oldest first, as seen from `today`.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn old_days(
    client: &mut Client,
    settings: &Settings,
    today: Date,
) -> Result<Vec<Date>, Failure> {
    let wrong = |error: postgres::Error| explain("reading which days are old", &error);
    let keep: Span = settings.keep_checks_days.days();
    let first_kept = today.saturating_sub(keep);
    let mut transaction = begin(client, &settings.database).map_err(wrong)?;
    let rows = transaction
        .query_typed(
            "select day from check_partitions where day < $1 order by day",
            &[(&first_kept, Type::DATE)],
        )
        .map_err(wrong)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Drops a day of checks; false when it is in use, or has something that is not rolled up yet.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn drop_day(
    client: &mut Client,
    settings: &Settings,
    stop: &Stop,
    day: Date,
) -> Result<bool, Failure> {
    let dropped = retry_locked(
        client,
        settings,
        stop,
        &format!("dropping the checks of {day}"),
        "select drop_check_partition($1, $2)",
        &[(&day, Type::DATE), (&settings.keep_checks_days, Type::INT4)],
    )?;
    Ok(dropped.is_some_and(|row| row.get(0)))
}

/// Drops months of statistics by hour and years of statistics by day; `None` when they are in use.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn drop_rollups(
    client: &mut Client,
    settings: &Settings,
    stop: &Stop,
) -> Result<Option<u64>, Failure> {
    let dropped = retry_locked(
        client,
        settings,
        stop,
        "dropping old rollups",
        "select drop_rollup_partitions($1, $2)",
        &[
            (&settings.keep_hourly_days, Type::INT4),
            (&settings.keep_daily_days, Type::INT4),
        ],
    )?;
    Ok(dropped.map(|row| u64::try_from(row.get::<_, i32>(0)).unwrap_or(0)))
}

/// Sites, or locations, forgotten in one transaction, and dead letters.
const PORTION: i32 = 10_000;

/// Forgets a portion of the sites that only events ever named, and of the locations, that were not
/// named for long, with everything of theirs; returns how many, `None` when drains are at work.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn forget_names(
    client: &mut Client,
    settings: &Settings,
    stop: &Stop,
) -> Result<Option<u64>, Failure> {
    let forgotten = retry_locked(
        client,
        settings,
        stop,
        "forgetting sites and locations",
        "select sum(websites + locations)::integer from forget_names($1, $2)",
        &[
            (&settings.keep_sites_days, Type::INT4),
            (&PORTION, Type::INT4),
        ],
    )?;
    Ok(forgotten.map(|row| u64::try_from(row.get::<_, i32>(0)).unwrap_or(0)))
}

/// Removes a portion of the old dead letters; returns how many.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn forget_dead_letters(
    client: &mut Client,
    settings: &Settings,
) -> Result<u64, Failure> {
    let (doing, keep) = ("removing old dead letters", settings.keep_dead_letters_days);
    forget(
        client,
        settings,
        doing,
        "select forget_dead_letters($1, $2)",
        keep,
    )
}

/// Removes a portion of the old evidence; returns how much.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn forget_evidence(client: &mut Client, settings: &Settings) -> Result<u64, Failure> {
    let (doing, keep) = ("removing old evidence", settings.keep_evidence_days);
    forget(
        client,
        settings,
        doing,
        "select forget_evidence($1, $2)",
        keep,
    )
}

fn forget(
    client: &mut Client,
    settings: &Settings,
    doing: &str,
    statement: &str,
    keep_days: i32,
) -> Result<u64, Failure> {
    let forget = || {
        let mut transaction = begin(client, &settings.database)?;
        let row = transaction.query_typed_one(
            statement,
            &[(&keep_days, Type::INT4), (&PORTION, Type::INT4)],
        )?;
        transaction.commit()?;
        Ok(row.get::<_, i32>(0))
    };
    let gone = retried(forget).map_err(|error| explain(doing, &error))?;
    Ok(u64::try_from(gone).unwrap_or(0))
}

/// Runs a statement that needs a lock nobody else may hold; `None` when it could not be had.
fn retry_locked(
    client: &mut Client,
    settings: &Settings,
    stop: &Stop,
    doing: &str,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Option<Row>, Failure> {
    for attempt in 1..=ATTEMPTS {
        match once(client, settings, statement, parameters) {
            Ok(row) => return Ok(Some(row)),
            Err(error) if is_in_use(&error) => {
                if attempt == ATTEMPTS || stop.requested().is_some() {
                    break;
                }
                std::thread::sleep(BACKOFF);
            }
            Err(error) => return Err(explain(doing, &error)),
        }
    }
    Ok(None)
}

fn once(
    client: &mut Client,
    settings: &Settings,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Row, postgres::Error> {
    let mut transaction = begin(client, &settings.database)?;
    transaction.batch_execute(&format!(
        "set local lock_timeout = {}",
        LOCK_TIMEOUT.as_millis()
    ))?;
    let row = transaction.query_typed_one(statement, parameters)?;
    transaction.commit()?;
    Ok(row)
}

fn is_in_use(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
    })
}
