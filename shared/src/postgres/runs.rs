//! The trace that a run leaves in the database.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use postgres::Client;
use postgres::types::Type;
use serde_json::{Map, Value};

use super::{begin, connect, root_cause};
use crate::run::{Failure, Run, Summary};
use crate::settings::DatabaseSettings;

/// How long recording a run may take at each step: it must not hold up the end of what it tells of.
const LIMIT: Duration = Duration::from_secs(1);

/// Records how a run of `function` went, over a connection of its own. Never fails the run: what
/// counts is done by then, and the log says the same. A run that could not reach the database, or
/// found another schema there, leaves no trace.
pub fn record_run(
    settings: &DatabaseSettings,
    function: &str,
    run: &Run,
    result: &Result<Summary, Failure>,
) {
    let (exit_code, figures) = match result {
        Ok(summary) => (summary.exit.code(), summary.figures.as_slice()),
        Err(Failure::Unavailable(_) | Failure::Configuration(_)) => return,
        Err(failure) => (failure.exit().code(), [].as_slice()),
    };
    // Whoever asked for the end waits for it.
    if run.stop.requested().is_some() {
        return;
    }
    let settings = &DatabaseSettings {
        connect_timeout: settings.connect_timeout.min(LIMIT),
        statement_timeout: settings.statement_timeout.min(LIMIT),
        ..settings.clone()
    };
    let figures: Map<String, Value> = figures
        .iter()
        .map(|(name, number)| ((*name).to_owned(), Value::from(*number)))
        .collect();
    let written = connect(settings, function).map(|mut client| {
        write(
            &mut client,
            settings,
            function,
            run.started,
            i16::from(exit_code),
            &Value::Object(figures),
        )
    });
    let why = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => root_cause(&error),
        Err(failure) => failure.to_string(),
    };
    log::warn!("how this run went could not be recorded in function_runs: {why}");
}

fn write(
    client: &mut Client,
    settings: &DatabaseSettings,
    function: &str,
    started: Instant,
    exit_code: i16,
    figures: &Value,
) -> Result<(), postgres::Error> {
    let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let started_at = Timestamp::now() - jiff::SignedDuration::from_millis(duration_ms);
    let mut transaction = begin(client, settings)?;
    // Losing this to a crash of the server would be no loss: not worth a wait for the disk. Two
    // runs at once must not wait for each other either; the later one's news is the better.
    transaction
        .batch_execute("set local synchronous_commit = off; set local lock_timeout = 1000")?;
    transaction.execute_typed(
        "insert into function_runs as last (function, started_at, duration_ms, exit_code, figures)
         values ($1, $2, $3, $4, $5::text::jsonb)
         on conflict (function) do update set
             started_at = excluded.started_at,
             duration_ms = excluded.duration_ms,
             exit_code = excluded.exit_code,
             figures = excluded.figures
         where last.started_at <= excluded.started_at",
        &[
            (&function, Type::TEXT),
            (&started_at, Type::TIMESTAMPTZ),
            (&duration_ms, Type::INT8),
            (&exit_code, Type::INT2),
            (&figures.to_string(), Type::TEXT),
        ],
    )?;
    transaction.commit()
}
