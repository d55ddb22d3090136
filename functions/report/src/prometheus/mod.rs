//! Metrics as text, for node_exporter's textfile collector, a Pushgateway, or whoever reads
//! standard output.
//!
//! Times are told as times, not as ages: an age would stand still between two reports.

mod metrics;
mod push;
mod text;

use sitewatch::run::Failure;

use crate::output;
use crate::read::sites::Sites;
use crate::read::{Reader, dead_letters, notifications, offsets, probes, runs};
use crate::settings::Settings;
use metrics::Metrics;

/// Writes or pushes the metrics.
///
/// # Errors
/// When PostgreSQL cannot be asked, they cannot be written, or the gateway does not take them.
pub(crate) fn write(
    reader: &mut Reader<'_>,
    settings: &Settings,
    sites: &Sites,
) -> Result<(), Failure> {
    let metrics = Metrics {
        labels: &settings.metric_labels,
        probes: probes::read(reader, settings)?,
        runs: runs::read(reader)?,
        offsets: offsets::read(reader)?,
        hours_waiting: reader.span.waiting,
        undelivered: notifications::undelivered(reader)?,
        dead_letter_at: dead_letters::newest(reader)?,
    };
    match &settings.pushgateway {
        Some(url) => push::push(url, |to| metrics.write(reader, sites, to)),
        None => output::write(settings.output.as_deref(), |to| {
            metrics.write(reader, sites, to)
        }),
    }
}
