//! What Prometheus' own tool says of metrics and of alerting rules.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    path::Path,
    process::Command,
};

use crate::{Failure, go};

/// Judges metrics in Prometheus' text format: whether they can be read, and their names and units.
///
/// # Errors
/// When anything is found, with all of it.
pub fn check_metrics(text: &str) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot hand the metrics over: {error}"));
    let mut file: File = tempfile::tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let mut judge = promtool();
    go::run(
        "accept the metrics",
        judge.args(["check", "metrics"]).stdin(file),
    )
    .map(drop)
}

/// Judges a file of alerting rules: whether Prometheus takes it.
///
/// # Errors
/// When it does not, with every reason.
pub fn check_rules(path: &Path) -> Result<(), Failure> {
    let mut judge = promtool();
    go::run(
        "accept the rules",
        judge.args(["check", "rules", "--lint-fatal"]).arg(path),
    )
    .map(drop)
}

/// Runs a file of tests of alerting rules.
///
/// # Errors
/// When one fails, with all that do.
pub fn test_rules(path: &Path) -> Result<(), Failure> {
    let mut judge = promtool();
    go::run(
        "pass the tests of the rules",
        judge.args(["test", "rules"]).arg(path),
    )
    .map(drop)
}

/// See `tests/install.sh`.
fn promtool() -> Command {
    Command::new("promtool")
}
