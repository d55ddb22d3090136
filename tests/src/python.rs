//! Python environments with packages from PyPI, made once per machine and kept in the cache.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    process::Command,
};

use crate::{Failure, cache, go};

/// What judges JSON, a server of SMTP, and readers of Kafka, of CloudEvents and of feeds.
const JUDGES: [&str; 18] = [
    "aiosmtpd==1.4.6",
    "atpublic==9.0.0",
    "attrs==26.1.0",
    "cloudevents==2.2.0",
    "confluent-kafka==2.16.1",
    "deprecation==2.1.0",
    "feedparser==6.0.14",
    "jsonschema==4.26.0",
    "jsonschema-specifications==2025.9.1",
    "packaging==26.4",
    "python-dateutil==4.0.0",
    "referencing==0.37.0",
    "rfc3339-validator==0.1.4",
    "rpds-py==2026.9.1",
    "sgmllib3k==1.0.0",
    "six==1.17.0",
    "typing_extensions==4.16.0",
    "tzdata==2026.6",
];

/// The interpreter of an environment with `jsonschema`, `aiosmtpd`, `confluent-kafka`, `cloudevents`
/// and `feedparser`.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn interpreter() -> PathBuf {
    environment("python", &JUDGES)
        .unwrap_or_else(|failure| panic!("{failure}"))
        .join("bin/python")
}

/// An environment with exactly these packages, so that it is the same everywhere.
pub(crate) fn environment(name: &str, packages: &[&str]) -> Result<PathBuf, Failure> {
    let mut hasher = DefaultHasher::new();
    packages.hash(&mut hasher);
    cache::directory(&format!("{name}-{:016x}", hasher.finish()), |fresh| {
        go::run(
            "make a Python environment (see tests/install.sh)",
            Command::new("python3").args(["-m", "venv"]).arg(fresh),
        )?;
        go::run(
            &format!("fetch {name} with pip"),
            Command::new(fresh.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--no-compile"])
                .arg("--disable-pip-version-check")
                .args(packages),
        )
        .map(drop)
    })
}
