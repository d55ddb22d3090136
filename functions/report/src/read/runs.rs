//! The last run of each function that uses the database.

use sitewatch::postgres::explain;
use sitewatch::run::Failure;

use super::Reader;
use crate::lines::RunLine;

const QUERY: &str = "
    select function, started_at, duration_ms, exit_code, figures::text
    from function_runs
    order by function";

/// Reads them.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Vec<RunLine>, Failure> {
    let rows = reader
        .transaction
        .query_typed(QUERY, &[])
        .map_err(|error| explain("reading how runs went", &error))?;
    Ok(rows
        .iter()
        .map(|row| RunLine {
            function: row.get(0),
            started_at: row.get(1),
            duration_ms: row.get(2),
            exit_code: row.get(3),
            figures: row.get(4),
        })
        .collect())
}
