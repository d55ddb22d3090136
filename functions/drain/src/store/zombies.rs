//! Zombie drains: suspended while PostgreSQL waited for their rows.

use postgres::Client;
use postgres::types::Type;
use sitewatch::postgres::{begin, explain};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;

use super::checks;

/// Ends connections of our role that have been waiting for a COPY's rows for longer than a
/// statement may take, and says so.
///
/// PostgreSQL frees what a zombie has locked by `idle_in_transaction_session_timeout`, but
/// not in the middle of a COPY: there it neither counts as idle, nor does the server look at
/// `statement_timeout` before more rows arrive. A drain that lives has a batch in memory before it
/// begins to send it, so that no COPY of ours waits that long.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn end_zombies(client: &mut Client, settings: &DatabaseSettings) -> Result<(), Failure> {
    let longest = i64::try_from(settings.statement_timeout.as_millis()).unwrap_or(i64::MAX);
    let mut end = || {
        begin(client, settings)?.query_typed(
            "select pid, pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and usename = current_user
               and query = any($1) and state = 'active' and wait_event = 'ClientRead'
               and query_start < clock_timestamp() - $2 * interval '1 millisecond'",
            &[
                (&checks::statements().as_slice(), Type::TEXT_ARRAY),
                (&longest, Type::INT8),
            ],
        )
    };
    let ended = end().map_err(|error| explain("looking for zombie drains", &error))?;
    for row in ended {
        let (process, ended): (i32, bool) = (row.get(0), row.get(1));
        if ended {
            log::warn!(
                "ended PostgreSQL's process {process}: a zombie drain, which sent nothing for {} in the middle of a batch, kept a partition locked",
                sitewatch::units::human(settings.statement_timeout)
            );
        }
    }
    Ok(())
}
