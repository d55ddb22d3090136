//! What the template is given: texts and paths, nothing to be worked out there.

use askama::Template;

use super::bar::{Bar, Drawing};
use super::plot::{self, Plot, Stretch};
use super::{Content, STYLE, style_hash};
use crate::counts::Counts;
use crate::lines::{IncidentLine, SiteLine};
use crate::read::evidence::Evidence;
use crate::read::plots::Plots;
use crate::read::span::Span;
use crate::settings::Settings;
use crate::states;
use crate::words::{lasting, milliseconds, percentage, printable, time, validity};

/// Certificates are listed when they expire within this many days.
const EXPIRING_DAYS: i64 = 30;

/// A percentage of the time from which on it counts as all of it: a check may be late.
const WHOLE: f64 = 99.5;

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    title: String,
    style: &'static str,
    style_hash: String,
    /// The worst state that a site is in.
    state: &'static str,
    overall: String,
    made_at: String,
    made_at_machine: String,
    /// With line ends.
    announcements: Vec<String>,
    sites: Vec<SiteView>,
    /// Sites, incidents and certificates that the page has no room for.
    sites_left: u64,
    incidents: Vec<IncidentView>,
    incidents_left: u64,
    certificates: Vec<CertificateView>,
    certificates_left: u64,
}

/// A site.
struct SiteView {
    name: String,
    location: String,
    state: &'static str,
    since: String,
    /// What the site is, where the location sees something else; else empty.
    verdict: &'static str,
    verdict_since: String,
    error: String,
    bar: Drawing,
    /// Window, percentage, and the share of the time that it speaks for where that is not all.
    uptimes: [(&'static str, String, String); 4],
    p50: String,
    p95: String,
    /// How long the first to expire of its certificates has left, and whose that is, where it is not
    /// the site's own.
    certificate: String,
    certificate_of: String,
    plots: Vec<Plot>,
    /// When the newest failed check was, and what it received.
    evidence: Option<(String, String)>,
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
pub(super) struct CertificateView {
    site: String,
    whose: String,
    expires: String,
    pub(super) left_s: i64,
    left: String,
}

impl Page {
    pub(super) fn new(settings: &Settings, span: &Span, content: Content) -> Self {
        let counts = content.counts;
        let (certificates, certificates_left) = content.certificates.finish();
        let no_checks = Bar::default();
        let stretches = [
            Stretch::day(span),
            Stretch::week(span),
            Stretch::quarter(span),
        ];
        Self {
            title: printable(&settings.title),
            style: STYLE,
            style_hash: style_hash(),
            state: not_up(counts)
                .first()
                .map_or(states::UP, |(_, state)| *state),
            overall: overall(counts),
            made_at: time(span.now),
            made_at_machine: span.now.to_string(),
            announcements: settings.announcements.clone(),
            sites: content
                .sites
                .into_iter()
                .map(|site| {
                    let bar = site.key.and_then(|key| content.bars.get(&key));
                    let plots = site.key.and_then(|key| content.plots.get(&key));
                    let bar = bar.unwrap_or(&no_checks).draw(site.watched, span.today);
                    let evidence = site.key.and_then(|key| content.evidence.get(&key));
                    SiteView::new(&site.line, bar, plots, &stretches, evidence)
                })
                .collect(),
            sites_left: content.sites_left,
            incidents: content
                .incidents
                .into_iter()
                .map(IncidentView::new)
                .collect(),
            incidents_left: content.incidents_left,
            certificates,
            certificates_left,
        }
    }
}

fn overall(counts: Counts) -> String {
    let all = counts.all();
    let of_all = |number: usize, what: &str| {
        let are = if number == 1 { "is" } else { "are" };
        format!("{number} of {all} sites {are} {what}")
    };
    let not_up = not_up(counts);
    match (all, not_up.split_first()) {
        (0, _) => "There are no sites".to_owned(),
        (1, None) => "The site is up".to_owned(),
        (_, None) => format!("All {all} sites are up"),
        (_, Some(((number, state), rest))) => {
            let first = of_all(*number, states::description(state));
            rest.iter().fold(first, |text, (number, state)| {
                format!("{text}, {number} {}", states::description(state))
            })
        }
    }
}

/// How many sites are in which other state than up, the worst first.
fn not_up(counts: Counts) -> Vec<(usize, &'static str)> {
    let mut states = vec![
        (counts.down, states::DOWN),
        (counts.degraded, states::DEGRADED),
        (counts.unknown, states::UNKNOWN),
        (counts.unmonitored, states::UNMONITORED),
    ];
    states.retain(|(number, _)| *number > 0);
    states
}

impl SiteView {
    fn new(
        line: &SiteLine,
        bar: Drawing,
        plots: Option<&Plots>,
        stretches: &[Stretch; 3],
        evidence: Option<&Evidence>,
    ) -> Self {
        let why = match (line.state, line.checked_at) {
            (_, None) => "never checked".to_owned(),
            (states::UNMONITORED, Some(at)) => {
                format!("no check since {}", time(at))
            }
            (states::UP, _) => String::new(),
            _ => line.error.clone().unwrap_or_default(),
        };
        Self {
            name: printable(&line.site),
            location: displayed_location(line.location.as_deref().unwrap_or_default()),
            state: line.state,
            since: line.since.map(time).unwrap_or_default(),
            verdict: if line.verdict == line.state {
                ""
            } else {
                line.verdict
            },
            verdict_since: line.verdict_since.map(time).unwrap_or_default(),
            error: printable(&why),
            bar,
            uptimes: [
                ("24 h", line.uptime_24h, line.coverage_24h),
                ("7 d", line.uptime_7d, line.coverage_7d),
                ("30 d", line.uptime_30d, line.coverage_30d),
                ("90 d", line.uptime_90d, line.coverage_90d),
            ]
            .map(|(window, uptime, coverage)| {
                let partial = coverage.filter(|coverage| *coverage < WHOLE);
                (window, percentage(uptime), percentage(partial))
            }),
            p50: milliseconds(line.p50_us),
            p95: milliseconds(line.p95_us),
            certificate: line
                .first_expiry()
                .map(|(_, left_s)| validity(left_s))
                .unwrap_or_default(),
            certificate_of: printable(&line.first_to_expire().unwrap_or_default()),
            evidence: evidence.map(|evidence| {
                let lines: Vec<String> = evidence.received.lines().map(printable).collect();
                (time(evidence.checked_at), lines.join("\n"))
            }),
            plots: plots
                .map(|plots| {
                    [
                        plot::draw(&stretches[0], &plots.day),
                        plot::draw(&stretches[1], &plots.week),
                        plot::draw(&stretches[2], &plots.quarter),
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
            location: displayed_location(&line.location),
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
    pub(super) fn new(line: &SiteLine) -> Option<Self> {
        let (expires, left_s) = line
            .first_expiry()
            .filter(|(_, left_s)| *left_s < EXPIRING_DAYS * 86_400)?;
        let of = line.first_to_expire();
        Some(Self {
            site: printable(&line.site),
            whose: of.map_or_else(|| "its own".to_owned(), |of| printable(&of)),
            expires: time(expires),
            left_s,
            left: validity(left_s),
        })
    }
}

/// The default location is not shown.
fn displayed_location(location: &str) -> String {
    if location == "default" {
        String::new()
    } else {
        printable(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a colour in a part of the style sheet.
    fn colour(part: &str, name: &str) -> [f64; 3] {
        let (_, rest) = part.split_once(&format!("--{name}: #")).unwrap();
        let number = u32::from_str_radix(rest.get(..6).unwrap(), 16).unwrap();
        [number >> 16, (number >> 8) & 0xff, number & 0xff].map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    /// As the Web Content Accessibility Guidelines define it.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |[r, g, b]: [f64; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
        let (one, other) = (luminance(one), luminance(other));
        (one / other).max(other / one)
    }

    #[test]
    fn every_word_can_be_read_in_light_and_in_dark() {
        let (light, rest) = STYLE
            .split_once("@media (prefers-color-scheme: dark)")
            .unwrap();
        let (dark, _) = rest.split_once("\n}\n").unwrap();
        for part in [light, dark] {
            for text in ["text", "quiet", "good", "poor", "bad", "median", "high"] {
                for behind in ["page", "card"] {
                    let found = contrast(colour(part, text), colour(part, behind));
                    assert!(found >= 4.5, "{text} on {behind}: {found:.2}\n{part}");
                }
            }
        }
    }
}
