//! What `promtool check metrics` says of metrics, by the linter it consists of: `tests/metrics-check`,
//! a program in Go, because that is.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    process::Command,
};

use crate::{Failure, go};

/// Judges metrics in Prometheus' text format: whether they can be read, and their names and units.
///
/// # Errors
/// When anything is found, with all of it.
pub fn check(text: &str) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot hand the metrics over: {error}"));
    let mut file: File = tempfile::tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.rewind().map_err(failed)?;
    go::run(
        "accept the metrics",
        Command::new(go::build("metrics-check")?).stdin(file),
    )
    .map(drop)
}
