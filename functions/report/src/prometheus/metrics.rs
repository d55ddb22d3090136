//! Which metrics there are. Written straight from the lines: a registry of gauges would hold every
//! site a second time.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::lines::{RunLine, SiteLine};
use crate::read::offsets::Offset;
use crate::read::probes::Probes;
use crate::words::printable;

/// What metrics are made of.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) sites: Vec<SiteLine>,
    pub(super) probes: Vec<Probes>,
    pub(super) runs: Vec<RunLine>,
    pub(super) offsets: Vec<Offset>,
    /// Hours older than a day that wait to be rolled up.
    pub(super) hours_waiting: i64,
}

/// A site's metric, with what it is of a line; `None`: left out.
type OfSite = (&'static str, &'static str, fn(&SiteLine) -> Option<f64>);

const OF_SITES: &[OfSite] = &[
    (
        "sitewatch_site_up",
        "Whether the newest check found the site up (1) or down (0); left out when that is unknown.",
        |site| match site.state {
            "up" => Some(1.0),
            "down" => Some(0.0),
            _ => None,
        },
    ),
    (
        "sitewatch_site_unknown",
        "Whether the state of the site is unknown: never checked, not lately, or the check could not be made.",
        |site| Some(f64::from(u8::from(site.state == "unknown"))),
    ),
    (
        "sitewatch_site_state_since_timestamp_seconds",
        "Since when the site is up or down.",
        |site| site.since.map(seconds),
    ),
    (
        "sitewatch_site_last_check_timestamp_seconds",
        "When the newest check began.",
        |site| site.checked_at.map(seconds),
    ),
    (
        "sitewatch_site_certificate_expiry_timestamp_seconds",
        "When the certificate that was seen last expires.",
        |site| site.certificate_not_after.map(seconds),
    ),
];

/// A phase of the newest check and how long it took, in microseconds.
type Phase = (&'static str, fn(&SiteLine) -> Option<i32>);

const PHASES: &[Phase] = &[
    ("dns", |site| site.dns_us),
    ("connect", |site| site.connect_us),
    ("tls", |site| site.tls_us),
    ("first_byte", |site| site.first_byte_us),
    ("body", |site| site.body_us),
    ("total", |site| site.total_us),
];

/// A metric of a place's probes.
type OfProbes = (&'static str, &'static str, fn(&Probes) -> f64);

const OF_PROBES: &[OfProbes] = &[
    (
        "sitewatch_probe_last_check_timestamp_seconds",
        "When the newest recorded check from there began.",
        |probes| seconds(probes.last_check_at),
    ),
    (
        "sitewatch_probe_sites",
        "Sites whose newest check from there is recent enough to tell their state.",
        |probes| probes.sites as f64,
    ),
];

/// A run's metric.
type OfRun = (&'static str, &'static str, fn(&RunLine) -> f64);

const OF_RUNS: &[OfRun] = &[
    (
        "sitewatch_function_last_run_timestamp_seconds",
        "When the last run of the function began.",
        |run| seconds(run.started_at),
    ),
    (
        "sitewatch_function_last_run_duration_seconds",
        "How long the last run of the function took.",
        |run| run.duration_ms as f64 / 1e3,
    ),
    (
        "sitewatch_function_last_run_exit_code",
        "How the last run of the function ended: 0 is done.",
        |run| f64::from(run.exit_code),
    ),
];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in OF_SITES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for site in &self.sites {
                if let Some(value) = value(site) {
                    let labels = [("site", site.site.as_str()), ("location", place(site))];
                    ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        let mut metric = encoder.encode_descriptor(
            "sitewatch_site_response_seconds",
            "How long each phase of the newest check took; phases that did not happen are left out.",
            None,
            MetricType::Gauge,
        )?;
        for site in &self.sites {
            for (phase, taken) in PHASES {
                if let Some(taken) = taken(site) {
                    let labels = [
                        ("site", site.site.as_str()),
                        ("location", place(site)),
                        ("phase", *phase),
                    ];
                    ConstGauge::new(f64::from(taken) / 1e6)
                        .encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        for (name, help, value) in OF_PROBES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for probes in &self.probes {
                let location = printable(&probes.location);
                let labels = [("location", location.as_str())];
                ConstGauge::new(value(probes)).encode(metric.encode_family(&labels)?)?;
            }
        }
        self.encode_runs(&mut encoder)?;
        self.encode_progress(&mut encoder)
    }
}

impl Metrics {
    fn encode_runs(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in OF_RUNS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for run in &self.runs {
                let labels = [("function", run.function.as_str())];
                ConstGauge::new(value(run)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let mut metric = encoder.encode_descriptor(
            "sitewatch_function_last_run_items",
            "What the last run of the function did, in its own figures: of drain, recorded are its events and left is its lag.",
            None,
            MetricType::Gauge,
        )?;
        for run in &self.runs {
            let figures: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&run.figures).unwrap_or_default();
            for (figure, number) in figures {
                if let Some(number) = number.as_f64() {
                    let labels = [
                        ("function", run.function.as_str()),
                        ("figure", figure.as_str()),
                    ];
                    ConstGauge::new(number).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_progress(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut metric = encoder.encode_descriptor(
            "sitewatch_kafka_next_offset",
            "The first message of the partition that drain has not recorded.",
            None,
            MetricType::Gauge,
        )?;
        for offset in &self.offsets {
            let partition = offset.partition.to_string();
            let labels = [
                ("topic", offset.topic.as_str()),
                ("partition", partition.as_str()),
            ];
            ConstGauge::new(offset.next).encode(metric.encode_family(&labels)?)?;
        }
        let metric = encoder.encode_descriptor(
            "sitewatch_rollups_waiting",
            "Hours older than a day that wait for maintain to roll them up.",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.hours_waiting).encode(metric)
    }
}

fn place(site: &SiteLine) -> &str {
    site.location.as_deref().unwrap_or_default()
}

fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_microsecond() as f64 / 1e6
}
