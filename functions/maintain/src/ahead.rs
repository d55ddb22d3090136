//! Partitions ahead of time, so that recording a check never has to make one.

use jiff::civil::Date;
use jiff::{Span, ToSpan as _};
use postgres::Client;
use postgres::types::Type;
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;

use crate::settings::Settings;

/// Makes what is missing for today and the days ahead; returns how many that were.
///
/// # Errors
/// When PostgreSQL cannot be used.
pub(crate) fn make(client: &mut Client, settings: &Settings, today: Date) -> Result<u64, Failure> {
    let wrong = |error: postgres::Error| explain("making partitions ahead", &error);
    let ahead: Span = settings.ahead_days.days();
    let last = today.saturating_add(ahead);
    let made = retried(|| {
        let mut transaction = begin(client, &settings.database)?;
        let made: i32 = transaction
            .query_typed_one(
                "select create_check_partitions($1, $2) + create_rollup_partitions($1, $2)",
                &[(&today, Type::DATE), (&last, Type::DATE)],
            )?
            .get(0);
        transaction.commit()?;
        Ok(made)
    })
    .map_err(wrong)?;
    Ok(u64::try_from(made).unwrap_or(0))
}
