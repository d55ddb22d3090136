//! The migrations, carried inside and applied in order.

use postgres::Client;
use postgres::types::Type;
use refinery::Runner;
use sitewatch::postgres::{SCHEMA_VERSION, explain};
use sitewatch::run::Failure;
use sitewatch::settings::{DatabaseSettings, Problems};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Any number will do as long as it stays the same: what two setups at once wait for.
const LOCK: i64 = 0x7369_7465_7761_7463;

/// Applies what is missing and returns how many migrations that were.
///
/// # Errors
/// When PostgreSQL refuses, or when the schema is of a newer release.
pub(crate) fn migrate(client: &mut Client, settings: &DatabaseSettings) -> Result<u64, Failure> {
    let runner = embedded::migrations::runner().set_abort_divergent(true);
    let locked = |error: postgres::Error| explain("waiting for another setup to end", &error);
    // The migrations are applied by a library, in transactions that it begins.
    client
        .batch_execute(&format!(
            "set lock_timeout = {}; set client_min_messages = warning;
             set default_transaction_isolation = 'read committed';
             set default_transaction_deferrable = off",
            settings.statement_timeout.as_millis()
        ))
        .map_err(locked)?;
    client
        .query_typed("select pg_advisory_lock($1)", &[(&LOCK, Type::INT8)])
        .map_err(locked)?;
    let applied = apply(client, &runner);
    // The lock ends with the connection in any case.
    if let Err(error) = client.query_typed("select pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)])
    {
        log::debug!("unlocking failed: {error}");
    }
    applied
}

fn apply(client: &mut Client, runner: &Runner) -> Result<u64, Failure> {
    if let Some(found) = newest(client)?
        && found > SCHEMA_VERSION
    {
        return Err(Problems::one(
            "the database's schema",
            format!("is at version {found}, newer than this release ({SCHEMA_VERSION}); run `setup` of that release"),
        )
        .into());
    }
    let report = runner.run(client).map_err(|error| refused(&error))?;
    // A week ahead, so that a batch seldom has to make its day itself.
    client
        .query_typed(
            "select create_check_partitions(today, today + 7)
             from (select (now() at time zone 'UTC')::date as today) as clock",
            &[],
        )
        .map_err(|error| explain("making the days ahead", &error))?;
    Ok(report.applied_migrations().len() as u64)
}

fn newest(client: &mut Client) -> Result<Option<i32>, Failure> {
    let asked = "reading the schema's version";
    let there: bool = client
        .query_typed_one(
            "select to_regclass('refinery_schema_history') is not null",
            &[],
        )
        .map_err(|error| explain(asked, &error))?
        .get(0);
    if !there {
        return Ok(None);
    }
    Ok(client
        .query_typed_one("select max(version) from refinery_schema_history", &[])
        .map_err(|error| explain(asked, &error))?
        .get(0))
}

fn refused(error: &refinery::Error) -> Failure {
    use refinery::error::Kind;
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        if let Some(error) = source.downcast_ref::<postgres::Error>() {
            return explain("applying the migrations", error);
        }
        innermost = source;
    }
    match error.kind() {
        Kind::DivergentVersion(..) | Kind::MissingVersion(..) => Problems::one(
            "the database's schema",
            format!("was made by migrations that differ from this release's: {error}"),
        )
        .into(),
        _ => Failure::InternalError(format!("the migrations could not be applied: {innermost}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_the_functions_look_for_is_the_last_migration() {
        let newest = embedded::migrations::runner()
            .get_migrations()
            .iter()
            .map(refinery::Migration::version)
            .max();
        assert_eq!(newest, Some(SCHEMA_VERSION));
    }
}
