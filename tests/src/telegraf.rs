//! Telegraf, with the plugins that the recipe of `k8s/connect` names, built once per machine.

use std::path::PathBuf;

use crate::{Failure, cache, go};

const VERSION: &str = "v1.36.4";
const PLUGINS: &str = "custom,inputs.kafka_consumer,parsers.json_v2,outputs.influxdb";

/// Its executable.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn executable() -> PathBuf {
    build().unwrap_or_else(|failure| panic!("{failure}"))
}

fn build() -> Result<PathBuf, Failure> {
    let package = format!("github.com/influxdata/telegraf/cmd/telegraf@{VERSION}");
    let directory = cache::directory(&format!("telegraf-{VERSION}-1"), |fresh| {
        go::install(&package, PLUGINS, fresh)
    })?;
    Ok(directory.join("telegraf"))
}
