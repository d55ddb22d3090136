//! PostgreSQL's errors as one sentence and one of our ways to end.

use std::error::Error as _;

use postgres::error::SqlState;

use crate::run::Failure;
use crate::settings::Problems;

/// The innermost cause of an error, in PostgreSQL's own words where it has some.
///
/// The client library's outer texts ("db error", "error communicating with the server") say
/// nothing that the innermost one does not.
#[must_use]
pub fn root_cause(error: &postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        let mut text = refused.message().to_owned();
        if let Some(detail) = refused.detail() {
            text.push_str(" (");
            text.push_str(detail);
            text.push(')');
        }
        return text;
    }
    let mut innermost = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(handshake) = cause.downcast_ref::<native_tls::Error>() {
            return crate::tls::reason_in(&handshake.to_string());
        }
        innermost = cause.to_string();
        source = cause.source();
    }
    innermost
}

/// What an error during work means: which exit code, and what the person should do.
/// `doing` is what was being done, to follow "while", such as `reading the list of sites`.
#[must_use]
pub fn explain(doing: &str, error: &postgres::Error) -> Failure {
    let cause = root_cause(error);
    let Some(state) = error.code() else {
        // Without a state the server did not speak: the connection is gone, or the library could
        // not read what came.
        return Failure::Unavailable(format!(
            "the connection to PostgreSQL broke while {doing}: {cause}; nothing is lost, the next run takes it up"
        ));
    };
    let class = state.code().get(..2).unwrap_or_default();
    match class {
        // Undefined table, column, function; invalid schema name.
        "42" if *state == SqlState::INSUFFICIENT_PRIVILEGE => Problems::one(
            "DATABASE_USER",
            format!("may not do what is needed while {doing}: {cause}; migrations/README.md lists the grants of each function"),
        )
        .into(),
        "42" | "3F" => Problems::one(
            "the database's schema",
            format!("does not fit this release, seen while {doing}: {cause}; run `setup` of the same release"),
        )
        .into(),
        // Lock and statement timeouts, deadlocks, serialization failures.
        "40" | "55" => busy(doing, &cause),
        "57" if *state == SqlState::QUERY_CANCELED => busy(doing, &cause),
        "25" if *state == SqlState::READ_ONLY_SQL_TRANSACTION => Failure::Unavailable(format!(
            "PostgreSQL refused while {doing}: {cause}; it is a standby, or somebody set default_transaction_read_only for the database or DATABASE_USER, as hosts do when the disk is full; nothing is lost, the next run takes it up"
        )),
        // Connection exceptions, operator intervention, resources, authorization, system errors.
        "08" | "57" | "53" | "28" | "58" | "25" => Failure::Unavailable(format!(
            "PostgreSQL refused while {doing}: {cause}; nothing is lost, the next run takes it up"
        )),
        _ => Failure::InternalError(format!(
            "PostgreSQL did not accept a statement while {doing}: {cause} (SQLSTATE {})",
            state.code()
        )),
    }
}

fn busy(doing: &str, cause: &str) -> Failure {
    Failure::Unfinished(format!(
        "PostgreSQL was too busy while {doing}: {cause}; nothing is lost, the next run takes it up"
    ))
}
