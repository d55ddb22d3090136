//! Metrics as text, for node_exporter's textfile collector, a Pushgateway, or whoever reads
//! standard output.
//!
//! Times are told as times, not as ages: an age would stand still between two reports.

mod metrics;
mod push;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use sitewatch::run::Failure;

use crate::lines::SiteLine;
use crate::output;
use crate::read::{Reader, offsets, probes, runs};
use crate::settings::Settings;
use crate::words::printable;
use metrics::Metrics;

/// Writes or pushes the metrics.
///
/// # Errors
/// When PostgreSQL cannot be asked, they cannot be written, or the gateway does not take them.
pub(crate) fn write(
    reader: &mut Reader<'_>,
    settings: &Settings,
    mut sites: Vec<SiteLine>,
) -> Result<(), Failure> {
    // A probe's clock may be a little ahead; an age below nothing is no age.
    let now = reader.span.now;
    for site in &mut sites {
        site.checked_at = site.checked_at.map(|time| time.min(now));
        site.since = site.since.map(|time| time.min(now));
        // Labels are shown by whoever asks for them.
        site.site = printable(&site.site);
        site.location = site.location.as_deref().map(printable);
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics {
        sites,
        probes: probes::read(reader, settings)?,
        runs: runs::read(reader)?,
        offsets: offsets::read(reader)?,
        hours_waiting: reader.span.waiting,
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
