//! What the columns of each kind of line are, and what stands in them.

use std::time::Duration;

use serde_json::{Map, Value};
use sitewatch::units::{counted, human};

use super::Line;
use crate::lines::{
    CheckLine, DayLine, IncidentLine, NotificationLine, RunLine, SiteLine, SlaLine,
};
use crate::states::description;
use crate::words::{balance, lasting, milliseconds, percentage, share_of_time, time, validity};

fn site_and_location(site: &str, location: Option<&str>) -> String {
    match location {
        Some(location) if location != "default" => format!("{site} ({location})"),
        _ => site.to_owned(),
    }
}

impl Line for SiteLine {
    const FIELDS: &'static [&'static str] = &[
        "site",
        "url",
        "location",
        "state",
        "since",
        "checked_at",
        "outcome",
        "status",
        "uptime_24h",
        "checks_24h",
        "dns_us",
        "connect_us",
        "tls_us",
        "first_byte_us",
        "body_us",
        "total_us",
        "certificate_not_after",
        "error",
        "uptime_7d",
        "uptime_30d",
        "uptime_90d",
        "p50_us",
        "p95_us",
        "p99_us",
        "certificate_days",
        "certificate_issuer",
        "last_error",
        "last_error_at",
        "labels",
        "verdict",
        "verdict_since",
        "coverage_24h",
        "coverage_7d",
        "coverage_30d",
        "coverage_90d",
        "duplicates_24h",
        "chain_not_after",
        "chain_days",
        "chain_subject",
        "chain_host",
    ];

    const HEADER: &'static [&'static str] = &[
        "site",
        "state",
        "verdict",
        "since",
        " 24 h",
        " covered",
        " 7 d",
        " 30 d",
        " 90 d",
        " p50",
        " p95",
        " certificate",
        "last error",
    ];

    const SPARE: &'static [&'static str] = &[
        " 30 d",
        " 7 d",
        " p50",
        " certificate",
        " 90 d",
        " p95",
        " covered",
        " 24 h",
        "verdict",
        "since",
    ];

    fn state(&self) -> Option<&'static str> {
        Some(self.state)
    }

    fn cells(&self) -> Vec<String> {
        let why = match (self.checked_at, self.state, &self.last_error) {
            (None, ..) => "never checked".to_owned(),
            (Some(checked_at), "unmonitored", _) => {
                format!("no check since {}", time(checked_at))
            }
            (Some(_), "up", Some(error)) => match self.last_error_at {
                Some(at) => format!("{}: {error}", time(at)),
                None => error.clone(),
            },
            (_, _, error) => error.clone().unwrap_or_default(),
        };
        vec![
            site_and_location(&self.site, self.location.as_deref()),
            description(self.state).to_owned(),
            description(self.verdict).to_owned(),
            self.since.map(time).unwrap_or_default(),
            percentage(self.uptime_24h),
            percentage(self.coverage_24h),
            percentage(self.uptime_7d),
            percentage(self.uptime_30d),
            percentage(self.uptime_90d),
            milliseconds(self.p50_us),
            milliseconds(self.p95_us),
            self.first_expiry()
                .map(|(_, left_s)| validity(left_s))
                .unwrap_or_default(),
            why,
        ]
    }
}

impl Line for CheckLine {
    const FIELDS: &'static [&'static str] = &[
        "checked_at",
        "site",
        "url",
        "location",
        "state",
        "outcome",
        "status",
        "body_match",
        "dns_us",
        "connect_us",
        "tls_us",
        "first_byte_us",
        "body_us",
        "total_us",
        "local_wait_us",
        "body_bytes",
        "redirects",
        "attempts",
        "remote_addr",
        "error",
        "maintenance",
        "evidence",
    ];

    const HEADER: &'static [&'static str] = &[
        "checked at",
        "site",
        "state",
        "outcome",
        " status",
        " dns",
        " connect",
        " tls",
        " first byte",
        " body",
        " total",
        "why",
    ];

    const SPARE: &'static [&'static str] = &[
        " body",
        " connect",
        " dns",
        " tls",
        " first byte",
        " status",
        "outcome",
    ];

    fn state(&self) -> Option<&'static str> {
        Some(self.state)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.checked_at),
            site_and_location(&self.site, Some(&self.location)),
            self.state.to_owned(),
            self.outcome.clone(),
            self.status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            milliseconds(self.dns_us),
            milliseconds(self.connect_us),
            milliseconds(self.tls_us),
            milliseconds(self.first_byte_us),
            milliseconds(self.body_us),
            milliseconds(Some(self.total_us)),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

impl Line for IncidentLine {
    const FIELDS: &'static [&'static str] = &[
        "site",
        "location",
        "opened_at",
        "closed_at",
        "duration_s",
        "ended",
        "outcome",
        "error",
        "checks",
        "first_failed_at",
        "last_failed_at",
    ];

    const HEADER: &'static [&'static str] = &[
        "site",
        "down from",
        "to",
        " for",
        "ended",
        "outcome",
        " checks",
        "why",
    ];

    const SPARE: &'static [&'static str] = &[" checks", "outcome", "to"];

    fn state(&self) -> Option<&'static str> {
        Some(match self.ended {
            "recovered" => "up",
            "ongoing" => "down",
            _ => "unknown",
        })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            site_and_location(&self.site, Some(&self.location)),
            time(self.opened_at),
            self.closed_at.map(time).unwrap_or_default(),
            lasting(self.duration_s),
            self.ended.to_owned(),
            self.outcome.clone(),
            self.checks.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

impl Line for DayLine {
    const FIELDS: &'static [&'static str] = &[
        "day",
        "site",
        "location",
        "checks",
        "up",
        "down",
        "unknown",
        "maintenance",
        "uptime",
        "p50_us",
        "p95_us",
        "p99_us",
    ];

    const HEADER: &'static [&'static str] = &[
        "day",
        "site",
        " uptime",
        " checks",
        " down",
        " unknown",
        " maintenance",
        " p50",
        " p95",
        " p99",
    ];

    const SPARE: &'static [&'static str] = &[" maintenance", " unknown", " p99", " p50", " down"];

    fn state(&self) -> Option<&'static str> {
        None
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.day.to_string(),
            site_and_location(&self.site, Some(&self.location)),
            percentage(self.uptime),
            self.checks.to_string(),
            self.down.to_string(),
            self.unknown.to_string(),
            self.maintenance.to_string(),
            milliseconds(self.p50_us),
            milliseconds(self.p95_us),
            milliseconds(self.p99_us),
        ]
    }
}

impl Line for RunLine {
    const FIELDS: &'static [&'static str] = &[
        "function",
        "started_at",
        "duration_ms",
        "exit_code",
        "figures",
    ];

    const HEADER: &'static [&'static str] =
        &["function", "started at", " took", " exit code", "did"];

    const SPARE: &'static [&'static str] = &["started at"];

    fn state(&self) -> Option<&'static str> {
        None
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.function.clone(),
            time(self.started_at),
            human(Duration::from_millis(
                u64::try_from(self.duration_ms).unwrap_or(0),
            )),
            self.exit_code.to_string(),
            counters(&self.figures),
        ]
    }
}

impl Line for NotificationLine {
    const FIELDS: &'static [&'static str] = &[
        "decided_at",
        "channel",
        "event",
        "site",
        "incident",
        "state",
        "attempts",
        "next_attempt_at",
        "given_up_at",
        "error",
    ];

    const HEADER: &'static [&'static str] = &[
        "decided",
        "channel",
        "event",
        "site",
        " incident",
        "state",
        " attempts",
        "next attempt",
        "why",
    ];

    const SPARE: &'static [&'static str] = &["next attempt", " attempts", " incident"];

    fn state(&self) -> Option<&'static str> {
        Some(match self.state {
            "given_up" => "down",
            _ => "unknown",
        })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.decided_at),
            self.channel.clone(),
            self.event.clone(),
            self.site.clone(),
            self.incident.to_string(),
            self.state.replace('_', " "),
            self.attempts.to_string(),
            self.next_attempt_at.map(time).unwrap_or_default(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

impl Line for SlaLine {
    const FIELDS: &'static [&'static str] = &[
        "scope",
        "site",
        "group",
        "from",
        "until",
        "sites",
        "sites_met",
        "monitored_s",
        "uptime",
        "downtime_s",
        "incidents",
        "coverage",
        "uncovered_s",
        "target",
        "budget_s",
        "budget_left_s",
        "met",
    ];

    const HEADER: &'static [&'static str] = &[
        "site",
        "group",
        " uptime",
        " down for",
        " incidents",
        " covered",
        " budget",
        " left",
        "met",
    ];

    const SPARE: &'static [&'static str] =
        &[" budget", " incidents", " covered", "group", " down for"];

    fn state(&self) -> Option<&'static str> {
        None
    }

    fn cells(&self) -> Vec<String> {
        let name = self.site.clone();
        vec![
            name.unwrap_or_else(|| counted(self.sites, "site", "sites")),
            self.group.clone().unwrap_or_default(),
            share_of_time(self.uptime),
            lasting(self.downtime_s),
            self.incidents.to_string(),
            share_of_time(self.coverage),
            lasting(self.budget_s),
            balance(self.budget_left_s),
            match self.met {
                Some(true) => "yes",
                Some(false) => "no",
                None => "",
            }
            .to_owned(),
        ]
    }
}

/// What a run did: its counters, those aside that are nothing.
fn counters(json: &str) -> String {
    let counters: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    counters
        .iter()
        .filter(|(_, number)| number.as_f64() != Some(0.0))
        .map(|(name, number)| format!("{} {number}", name.replace('_', " ")))
        .collect::<Vec<_>>()
        .join(", ")
}
