//! What the template is given: words and paths, nothing to be worked out there.

use std::collections::HashMap;

use askama::Template;

use super::bar::Bar;
use super::plot::{self, Plot};
use crate::lines::{IncidentLine, SiteLine};
use crate::read::Key;
use crate::read::plots::Plots;
use crate::read::sites::Site;
use crate::read::span::Span;
use crate::settings::Settings;
use crate::words::{lasting, milliseconds, percentage, printable, time};

/// Certificates are listed when they expire within this many days.
const EXPIRING_DAYS: i64 = 30;

const STYLE: &str = include_str!("../../templates/page.css");

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    title: String,
    style: &'static str,
    /// The style sheet's SHA-256, as the Content-Security-Policy wants it.
    style_hash: String,
    /// `up`, `down` or `unknown`: the worst of all sites.
    state: &'static str,
    overall: String,
    made_at: String,
    made_at_machine: String,
    sites: Vec<SiteView>,
    incidents: Vec<IncidentView>,
    certificates: Vec<CertificateView>,
}

/// A site.
struct SiteView {
    name: String,
    location: String,
    state: &'static str,
    since: String,
    error: String,
    bar_words: String,
    bar_paths: Vec<(&'static str, String)>,
    /// Window and percentage.
    uptimes: [(&'static str, String); 4],
    p50: String,
    p95: String,
    certificate: String,
    plots: Vec<Plot>,
}

/// An incident.
struct IncidentView {
    site: String,
    location: String,
    opened: String,
    lasted: String,
    ended: String,
    state: &'static str,
    why: String,
}

/// A certificate that expires soon.
struct CertificateView {
    site: String,
    expires: String,
    days: i64,
}

impl Page {
    pub(super) fn new(
        settings: &Settings,
        span: &Span,
        sites: &[Site],
        bars: &HashMap<Key, Bar>,
        plots: &HashMap<Key, Plots>,
        incidents: Vec<IncidentLine>,
    ) -> Self {
        let lines = || sites.iter().map(|site| &site.line);
        let count = |state| lines().filter(|line| line.state == state).count();
        let (down, unknown) = (count("down"), count("unknown"));
        let mut certificates: Vec<CertificateView> =
            lines().filter_map(CertificateView::new).collect();
        certificates.sort_by_key(|certificate| certificate.days);
        Self {
            title: printable(&settings.title),
            style: STYLE,
            style_hash: openssl::base64::encode_block(&openssl::sha::sha256(STYLE.as_bytes())),
            state: match (down, unknown) {
                (1.., _) => "down",
                (_, 1..) => "unknown",
                _ => "up",
            },
            overall: overall(sites.len(), down, unknown),
            made_at: time(span.now),
            made_at_machine: span.now.to_string(),
            sites: sites
                .iter()
                .map(|site| {
                    let bar = site.key.and_then(|key| bars.get(&key));
                    SiteView::new(&site.line, bar, site.key.and_then(|key| plots.get(&key)))
                })
                .collect(),
            incidents: incidents.into_iter().map(IncidentView::new).collect(),
            certificates,
        }
    }
}

fn overall(all: usize, down: usize, unknown: usize) -> String {
    let of_all = |number: usize, what: &str| {
        let are = if number == 1 { "is" } else { "are" };
        format!("{number} of {all} sites {are} {what}")
    };
    match (all, down, unknown) {
        (0, ..) => "There are no sites".to_owned(),
        (1, 0, 0) => "The site is up".to_owned(),
        (_, 0, 0) => format!("All {all} sites are up"),
        (_, 0, _) => of_all(unknown, "unknown"),
        (_, _, 0) => of_all(down, "down"),
        _ => format!("{}, {unknown} unknown", of_all(down, "down")),
    }
}

impl SiteView {
    fn new(line: &SiteLine, bar: Option<&Bar>, plots: Option<&Plots>) -> Self {
        let why = match (line.state, line.checked_at) {
            (_, None) => "never checked".to_owned(),
            ("unknown", Some(at)) if line.error.is_none() => {
                format!("no check since {}", time(at))
            }
            ("up", _) => String::new(),
            _ => line.error.clone().unwrap_or_default(),
        };
        let empty = Bar::default();
        let bar = bar.unwrap_or(&empty);
        Self {
            name: printable(&line.site),
            location: place(line.location.as_deref().unwrap_or_default()),
            state: line.state,
            since: line.since.map(time).unwrap_or_default(),
            error: printable(&why),
            bar_words: bar.words(),
            bar_paths: bar.paths(),
            uptimes: [
                ("24 h", percentage(line.uptime_24h)),
                ("7 d", percentage(line.uptime_7d)),
                ("30 d", percentage(line.uptime_30d)),
                ("90 d", percentage(line.uptime_90d)),
            ],
            p50: milliseconds(line.p50_us),
            p95: milliseconds(line.p95_us),
            certificate: line.certificate_days.map(days).unwrap_or_default(),
            plots: plots
                .map(|plots| {
                    [
                        plot::draw("24 hours", &plots.day, "%H:%M"),
                        plot::draw("7 days", &plots.week, "%m-%d"),
                        plot::draw("90 days", &plots.quarter, "%m-%d"),
                    ]
                    .into_iter()
                    .flatten()
                    .collect()
                })
                .unwrap_or_default(),
        }
    }
}

impl IncidentView {
    fn new(line: IncidentLine) -> Self {
        let why = line.error.unwrap_or(line.outcome);
        Self {
            site: printable(&line.site),
            location: place(&line.location),
            opened: time(line.opened_at),
            lasted: lasting(line.duration_s),
            ended: match line.closed_at {
                Some(closed_at) => time(closed_at),
                None if line.ended == "ongoing" => "still down".to_owned(),
                None => "not checked since".to_owned(),
            },
            state: match line.ended {
                "recovered" => "up",
                "ongoing" => "down",
                _ => "unknown",
            },
            why: printable(&why),
        }
    }
}

impl CertificateView {
    fn new(line: &SiteLine) -> Option<Self> {
        let days = line.certificate_days.filter(|days| *days < EXPIRING_DAYS)?;
        Some(Self {
            site: printable(&line.site),
            expires: time(line.certificate_not_after?),
            days,
        })
    }
}

fn days(days: i64) -> String {
    match days {
        ..0 => "expired".to_owned(),
        0 => "expires today".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

/// The usual place goes without saying.
fn place(location: &str) -> String {
    if location == "default" {
        String::new()
    } else {
        printable(location)
    }
}
