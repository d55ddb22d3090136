//! Metrics as text, for node_exporter's textfile collector, a Pushgateway, or whoever reads
//! standard output.
//!
//! Times are told as times, not as ages: an age would stand still between two reports.

mod metrics;
mod push;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use sitewatch::run::Failure;

use crate::lines::{RunLine, SiteLine};
use crate::output;
use crate::settings::Settings;
use metrics::Metrics;

/// Writes or pushes the metrics.
///
/// # Errors
/// When they cannot be written, or the gateway does not take them.
pub(crate) fn write(
    settings: &Settings,
    sites: Vec<SiteLine>,
    runs: Vec<RunLine>,
    hours_waiting: i64,
) -> Result<(), Failure> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics {
        sites,
        runs,
        hours_waiting,
    }));
    // Without OpenMetrics' end mark, which neither of the readers above expects.
    let mut text = String::new();
    encode_registry(&mut text, &registry)
        .map_err(|_| Failure::Defect("the metrics could not be written".to_owned()))?;
    match &settings.pushgateway {
        Some(url) => push::push(url, &text),
        None => output::write(settings.output.as_deref(), |to| {
            to.write_all(text.as_bytes())
        }),
    }
}
