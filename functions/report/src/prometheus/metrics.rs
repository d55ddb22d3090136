//! Which metrics there are. All samples of one stand together, as the format has it, so that the
//! sites are read once for each.

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

use super::text::family;
use crate::lines::RunLine;
use crate::output::Interrupted;
use crate::read::Reader;
use crate::read::notifications::Undelivered;
use crate::read::offsets::Offset;
use crate::read::probes::Probes;
use crate::read::site_row::SiteRow;
use crate::read::sites::Sites;
use crate::settings::MetricLabel;
use crate::states::STATES;

/// What metrics are made of besides the sites.
#[derive(Debug)]
pub(super) struct Metrics<'a> {
    /// Labels that sites are told with; none: no metric of them.
    pub(super) labels: &'a [MetricLabel],
    pub(super) probes: Vec<Probes>,
    pub(super) runs: Vec<RunLine>,
    pub(super) offsets: Vec<Offset>,
    /// Hours older than a day that wait to be rolled up.
    pub(super) hours_waiting: i64,
    /// What channels have not taken.
    pub(super) undelivered: Vec<Undelivered>,
    /// When the newest dead letter was recorded; `None`: there are none.
    pub(super) dead_letter_at: Option<Timestamp>,
}

/// A site's metric, with what it is of a line now; `None`: left out.
type OfSite = (
    &'static str,
    &'static str,
    fn(&SiteRow<'_>, Timestamp) -> Option<f64>,
);

const OF_SITES: &[OfSite] = &[
    (
        "sitewatch_site_up",
        "Whether the newest check found the site up (1) or down (0); left out when that is unknown.",
        |site, _| match site.state() {
            "up" => Some(1.0),
            "down" => Some(0.0),
            _ => None,
        },
    ),
    (
        "sitewatch_site_unknown",
        "Whether the state of the site is unknown: never checked, not lately, or the check could not be made.",
        |site, _| Some(f64::from(u8::from(!matches!(site.state(), "up" | "down")))),
    ),
    (
        "sitewatch_site_state_since_timestamp_seconds",
        "Since when the site is up or down.",
        |site, now| site.since().map(|time| not_ahead(time, now)),
    ),
    (
        "sitewatch_site_last_check_timestamp_seconds",
        "When the newest check began.",
        |site, now| site.checked_at().map(|time| not_ahead(time, now)),
    ),
    (
        "sitewatch_site_certificate_expiry_timestamp_seconds",
        "When the certificate that was seen last expires.",
        |site, _| site.certificate_not_after().map(seconds),
    ),
];

/// What the phases of a check are called, in their order.
const PHASES: [&str; 6] = ["dns", "connect", "tls", "first_byte", "body", "total"];

/// A metric of the probes of a location.
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

/// A metric of what a channel has not taken; `None`: left out.
type OfChannel = (&'static str, &'static str, fn(&Undelivered) -> Option<f64>);

const OF_CHANNELS: &[OfChannel] = &[
    (
        "sitewatch_notifications_pending",
        "Messages that the channel has not taken yet; left out when there are none.",
        |channel| (channel.pending > 0).then_some(channel.pending as f64),
    ),
    (
        "sitewatch_notifications_pending_since_timestamp_seconds",
        "When the oldest of them was decided.",
        |channel| channel.pending_since.map(seconds),
    ),
    (
        "sitewatch_notifications_given_up",
        "Messages that were given up, of incidents that are kept; left out when there are none.",
        |channel| (channel.given_up > 0).then_some(channel.given_up as f64),
    ),
];

impl Metrics<'_> {
    /// Writes all of them.
    pub(super) fn write(
        &self,
        reader: &mut Reader<'_>,
        sites: &Sites,
        to: &mut dyn Write,
    ) -> Result<(), Interrupted> {
        let now = reader.span.now;
        for (name, help, value) in OF_SITES {
            let mut family = family(to, name, help)?;
            sites.each_row(reader, &mut |site| {
                if let Some(value) = value(site, now) {
                    family.sample(&seen_from(site), value)?;
                }
                Ok(())
            })?;
        }
        let mut chains = family(
            to,
            "sitewatch_site_chain_certificate_expiry_timestamp_seconds",
            "When the first expires of all certificates that the newest check with any depended on, those of redirects' servers and of the chains that they sent included: host sent it, subject is whose it is.",
        )?;
        sites.each_row(reader, &mut |site| {
            if let Some(not_after) = site.chain_not_after() {
                let [name, location] = seen_from(site);
                let labels = [
                    name,
                    location,
                    ("host", site.chain_host().unwrap_or_default()),
                    ("subject", site.chain_subject().unwrap_or_default()),
                ];
                chains.sample(&labels, seconds(not_after))?;
            }
            Ok(())
        })?;
        let mut coverage = family(
            to,
            "sitewatch_site_coverage_ratio",
            "The part of the last 24 hours, as far as they are rolled up, that the checks of the site cover, from 0 to 1; left out where it is not known.",
        )?;
        let span = &reader.span;
        let rolled_up = span.without_fresh(span.hours_from(span.day_ago));
        sites.each_row(reader, &mut |site| {
            if let Some(ratio) = covered(site, now, &rolled_up) {
                coverage.sample(&seen_from(site), ratio)?;
            }
            Ok(())
        })?;
        let mut states = family(
            to,
            "sitewatch_site_state",
            "1 for the state that the site is in, 0 for each other one: up, degraded, down, unknown, or unmonitored when its checks have stopped.",
        )?;
        sites.each_row(reader, &mut |site| {
            if site.is_first() {
                for state in STATES {
                    let labels = [("site", site.site()), ("state", state)];
                    states.sample(&labels, u8::from(state == site.verdict()))?;
                }
            }
            Ok(())
        })?;
        self.write_labels(reader, sites, to)?;
        let mut phases = family(
            to,
            "sitewatch_site_response_seconds",
            "How long each phase of the newest check took; phases that did not happen are left out.",
        )?;
        sites.each_row(reader, &mut |site| {
            let [name, location] = seen_from(site);
            for (phase, taken) in PHASES.into_iter().zip(site.phases_us()) {
                if let Some(taken) = taken {
                    let labels = [name, location, ("phase", phase)];
                    phases.sample(&labels, f64::from(taken) / 1e6)?;
                }
            }
            Ok(())
        })?;
        Ok(self.write_rest(now, to)?)
    }

    fn write_labels(
        &self,
        reader: &mut Reader<'_>,
        sites: &Sites,
        to: &mut dyn Write,
    ) -> Result<(), Interrupted> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let mut infos = family(
            to,
            "sitewatch_site_info",
            "The labels of the site that REPORT_PROMETHEUS_LABELS names; always 1.",
        )?;
        sites.each_row(reader, &mut |site| {
            if site.is_first() {
                let of_site = site.labels();
                let mut labels = vec![("site", site.site())];
                labels.extend(self.labels.iter().filter_map(|label| {
                    let value = of_site.get(&label.name)?;
                    Some((label.metric_name.as_str(), value.as_str()))
                }));
                infos.sample(&labels, 1)?;
            }
            Ok(())
        })
    }

    fn write_rest(&self, now: Timestamp, to: &mut dyn Write) -> io::Result<()> {
        for (name, help, value) in OF_PROBES {
            let mut family = family(to, name, help)?;
            for probes in &self.probes {
                family.sample(&[("location", &probes.location)], value(probes))?;
            }
        }
        for (name, help, value) in OF_RUNS {
            let mut family = family(to, name, help)?;
            for run in &self.runs {
                family.sample(&[("function", &run.function)], value(run))?;
            }
        }
        let mut items = family(
            to,
            "sitewatch_function_last_run_items",
            "What the last run of the function did, in its own counters: of drain, recorded are its events and left is its lag.",
        )?;
        for run in &self.runs {
            let counters: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&run.figures).unwrap_or_default();
            for (counter, number) in counters {
                if let Some(number) = number.as_f64() {
                    items.sample(&[("function", &run.function), ("figure", &counter)], number)?;
                }
            }
        }
        let mut offsets = family(
            to,
            "sitewatch_kafka_next_offset",
            "The first message of the partition that drain has not recorded.",
        )?;
        for offset in &self.offsets {
            let partition = offset.partition.to_string();
            let labels = [("topic", offset.topic.as_str()), ("partition", &partition)];
            offsets.sample(&labels, offset.next)?;
        }
        family(
            to,
            "sitewatch_rollups_waiting",
            "Hours older than a day that wait for maintain to roll them up.",
        )?
        .sample(&[], self.hours_waiting)?;
        for (name, help, value) in OF_CHANNELS {
            let mut family = family(to, name, help)?;
            for channel in &self.undelivered {
                if let Some(value) = value(channel) {
                    family.sample(&[("channel", &channel.channel)], value)?;
                }
            }
        }
        let mut dead_letters = family(
            to,
            "sitewatch_dead_letters_last_timestamp_seconds",
            "When drain met the newest message in dead_letters; left out when there is none.",
        )?;
        if let Some(at) = self.dead_letter_at {
            dead_letters.sample(&[], seconds(at))?;
        }
        family(
            to,
            "sitewatch_report_timestamp_seconds",
            "As of when report wrote these metrics.",
        )?
        .sample(&[], seconds(now))
    }
}

/// The labels of a site as seen from a location.
fn seen_from<'a>(site: &SiteRow<'a>) -> [(&'static str, &'a str); 2] {
    [
        ("site", site.site()),
        ("location", site.location().unwrap_or_default()),
    ]
}

/// The part that checks cover of the time for which the site should have been looked at in these hours,
/// from 0 to 1; `None` when there is none.
fn covered(site: &SiteRow<'_>, now: Timestamp, hours: &[Timestamp]) -> Option<f64> {
    let watched = site.watched(now)?;
    let wanted: i64 = hours
        .iter()
        .map(|hour| watched.within(*hour, *hour + SignedDuration::from_hours(1)))
        .sum();
    (wanted > 0).then(|| (site.covered_ms_24h() as f64 / wanted as f64).min(1.0))
}

/// A probe's clock may be a little ahead; an age below nothing is no age.
fn not_ahead(time: Timestamp, now: Timestamp) -> f64 {
    seconds(time.min(now))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_microsecond() as f64 / 1e6
}
