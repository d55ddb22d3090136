//! What AsyncAPI says of documents: its own JSON Schema, from npm, fetched once per machine.

use std::{path::PathBuf, process::Command};

use crate::{cache, go};

const VERSION: &str = "6.11.1";

/// The schema of AsyncAPI 3.0, for validators that take a file by itself.
///
/// # Panics
/// When it cannot be fetched.
#[must_use]
pub fn schema() -> PathBuf {
    cache::directory(&format!("asyncapi-{VERSION}"), |fresh| {
        go::run(
            "fetch AsyncAPI's schema with npm (see tests/install.sh)",
            Command::new("npm")
                .args(["install", "--silent", "--ignore-scripts", "--prefix"])
                .arg(fresh)
                .arg(format!("@asyncapi/specs@{VERSION}")),
        )
        .map(drop)
    })
    .unwrap_or_else(|failure| panic!("{failure}"))
    .join("node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json")
}
