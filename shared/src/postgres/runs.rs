//! The trace that a run leaves in the database.

use std::sync::mpsc;
use std::time::Duration;

use postgres::Client;
use postgres::types::Type;
use serde_json::{Map, Value};

use super::{connect, retried, root_cause};
use crate::run::{Failure, Run, Summary};
use crate::settings::DatabaseSettings;

/// How long recording a run may take at each step: it must not hold up the end of what it tells of.
const LIMIT: Duration = Duration::from_secs(1);

/// How long the server may wait for another run's row: it gives up first, and says why.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Records how a run of `function` went, over a connection of its own. Never fails the run: what
/// counts is done by then, and the log says the same. A run that could not reach the database,
/// found another schema there or was asked to end leaves no trace.
pub fn record_run(
    settings: &DatabaseSettings,
    function: &'static str,
    run: &Run,
    result: &Result<Summary, Failure>,
) {
    // Whoever asked for the end waits for it.
    if run.stop.requested().is_some()
        || matches!(
            result,
            Err(Failure::Unavailable(_) | Failure::Configuration(_))
        )
    {
        return;
    }
    let settings = DatabaseSettings {
        connect_timeout: settings.connect_timeout.min(LIMIT),
        ..settings.clone()
    };
    match connect(&settings, function) {
        Ok(client) => leave(client, Trace::new(function, run, result)),
        Err(failure) => missing(&failure.to_string()),
    }
}

/// As [`record_run`], over a connection that the run has no more use for, and then closes it.
/// Whatever the run failed of is recorded, unless the connection broke.
pub fn record_run_over(
    client: Client,
    function: &'static str,
    run: &Run,
    result: &Result<Summary, Failure>,
) {
    if run.stop.requested().is_none() && !client.is_closed() {
        leave(client, Trace::new(function, run, result));
    }
}

/// What is recorded of a run.
struct Trace {
    function: &'static str,
    duration_ms: i64,
    exit_code: i16,
    counters: String,
}

impl Trace {
    fn new(function: &'static str, run: &Run, result: &Result<Summary, Failure>) -> Self {
        let (exit_code, counters) = match result {
            Ok(summary) => (summary.exit.code(), summary.counters.as_slice()),
            Err(failure) => (failure.exit().code(), [].as_slice()),
        };
        let counters: Map<String, Value> = counters
            .iter()
            .map(|(name, number)| ((*name).to_owned(), Value::from(*number)))
            .collect();
        let duration_ms = i64::try_from(run.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Self {
            function,
            duration_ms,
            exit_code: i16::from(exit_code),
            counters: Value::Object(counters).to_string(),
        }
    }

    /// When the run began is told by PostgreSQL's clock: one that is ahead would have the last word
    /// until its time has come.
    ///
    /// One statement and one exchange, a transaction of its own: a run that is suspended in the
    /// middle of it holds nothing that the next one would wait for.
    ///
    /// Losing this to a crash of the server would be no loss: not worth a wait for the disk. Two
    /// runs at once must not wait for each other long either; the later one's news is the better.
    fn write(&self, client: &mut Client) -> Result<(), postgres::Error> {
        client.execute_typed(
            "insert into function_runs as last (function, started_at, duration_ms, exit_code, figures)
             select $1, now() - $2 * interval '1 millisecond', $2, $3, $4::jsonb
             where set_config('lock_timeout', $5, true) is not null
                 and set_config('synchronous_commit', 'off', true) is not null
             on conflict (function) do update set
                 started_at = excluded.started_at,
                 duration_ms = excluded.duration_ms,
                 exit_code = excluded.exit_code,
                 figures = excluded.figures
             where last.started_at <= excluded.started_at or last.started_at > now()",
            &[
                (&self.function, Type::TEXT),
                (&self.duration_ms, Type::INT8),
                (&self.exit_code, Type::INT2),
                (&self.counters, Type::TEXT),
                (&LOCK_TIMEOUT.as_millis().to_string(), Type::TEXT),
            ],
        )?;
        Ok(())
    }
}

/// On a thread: a server that has fallen silent must not hold us, and the thread ends with the
/// process.
fn leave(mut client: Client, trace: Trace) {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let written = retried(|| trace.write(&mut client));
        // Closed in the same time, or PostgreSQL logs that the client went away.
        drop(client);
        // Nobody listens any more once the time is over.
        drop(sender.send(written));
    });
    match receiver.recv_timeout(LIMIT) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => missing(&root_cause(&error)),
        Err(_) => missing("PostgreSQL does not answer"),
    }
}

fn missing(why: &str) {
    log::warn!("how this run went could not be recorded in function_runs: {why}");
}
