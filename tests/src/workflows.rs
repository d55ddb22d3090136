//! What actionlint says of GitHub's workflows: `tests/workflow-check`, a program in Go, because that is.

use std::{path::PathBuf, process::Command};

use crate::{Failure, go};

/// Judges these files.
///
/// # Errors
/// When anything is found, with all of it.
pub fn check(files: &[PathBuf]) -> Result<(), Failure> {
    go::run(
        "accept the workflows",
        Command::new(go::build("workflow-check")?).args(files),
    )
    .map(drop)
}
