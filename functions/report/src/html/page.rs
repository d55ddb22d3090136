//! What the template is given: texts and paths, nothing to be worked out there.

use std::fmt::Display;

use askama::Template;

use super::bar::Bar;
use super::plot::Stretch;
use super::site::SiteView;
use super::{Content, STYLE, style_hash};
use crate::counts::Counts;
use crate::lines::{IncidentLine, SiteLine};
use crate::read::span::Span;
use crate::settings::Settings;
use crate::states;
use crate::wording::{Words, fill};
use crate::words::{lasting, printable, time};

/// Certificates are listed when they expire within this many days.
const EXPIRING_DAYS: i64 = 30;

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page<'a> {
    words: &'a Words,
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
    /// What of sites, incidents and certificates the page has no room for; empty: nothing.
    sites_left: String,
    incidents: Vec<IncidentView>,
    incidents_left: String,
    certificates: Vec<CertificateView>,
    certificates_left: String,
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

impl<'a> Page<'a> {
    pub(super) fn new(settings: &'a Settings, span: &Span, content: Content) -> Self {
        let counts = content.counts;
        let words = &settings.words;
        let (certificates, certificates_left) = content.certificates.finish();
        let no_checks = Bar::default();
        let stretches = [
            Stretch::day(span, words),
            Stretch::week(span, words),
            Stretch::quarter(span, words),
        ];
        let more = |left: u64| match left {
            0 => String::new(),
            left => fill(&words.more, &[("count", &left)]),
        };
        Self {
            words,
            title: printable(&settings.title),
            style: STYLE,
            style_hash: style_hash(),
            state: counts
                .worst_first()
                .next()
                .map_or(states::UP, |(_, state)| state),
            overall: overall(counts, words),
            made_at: fill(&words.as_of, &[("time", &time(span.now))]),
            made_at_machine: span.now.to_string(),
            announcements: settings.announcements.clone(),
            sites: content
                .sites
                .into_iter()
                .map(|site| {
                    let bar = site.key.and_then(|key| content.bars.get(&key));
                    let plots = site.key.and_then(|key| content.plots.get(&key));
                    let bar = bar
                        .unwrap_or(&no_checks)
                        .draw(site.watched, span.today, words);
                    let evidence = site.key.and_then(|key| content.evidence.get(&key));
                    SiteView::new(&site.line, bar, plots, &stretches, evidence, words)
                })
                .collect(),
            sites_left: more(content.sites_left),
            incidents: content
                .incidents
                .into_iter()
                .map(|line| IncidentView::new(line, words))
                .collect(),
            incidents_left: more(content.incidents_left),
            certificates,
            certificates_left: more(certificates_left),
        }
    }
}

fn overall(counts: Counts, words: &Words) -> String {
    let all = counts.all();
    let mut not_up = counts
        .worst_first()
        .filter(|(_, state)| *state != states::UP);
    let Some((count, state)) = not_up.next() else {
        return match all {
            0 => words.overall_none.clone(),
            1 => words.overall_up_one.clone(),
            _ => fill(&words.overall_up_many, &[("all", &all)]),
        };
    };
    let first = match count {
        1 => &words.overall_one,
        _ => &words.overall_many,
    };
    let values: [(&str, &dyn Display); 3] = [
        ("count", &count),
        ("all", &all),
        ("state", &words.state(state)),
    ];
    let mut text = fill(first, &values);
    for (count, state) in not_up {
        text.push_str(&words.list_separator);
        text.push_str(&words.count(count, state));
    }
    text
}

/// What stands before a state for those who do not tell colours apart.
fn mark(state: &str) -> char {
    match state {
        states::UP => '✓',
        states::DOWN => '✗',
        states::DEGRADED => '!',
        _ => '?',
    }
}

impl IncidentView {
    fn new(line: IncidentLine, words: &Words) -> Self {
        let why = line.error.unwrap_or(line.outcome);
        Self {
            site: printable(&line.site),
            location: displayed_location(&line.location, words),
            opened: time(line.opened_at),
            lasted: lasting(line.duration_s),
            ended: match line.closed_at {
                Some(closed_at) => time(closed_at),
                None if line.ended == "ongoing" => words.incident_ongoing.clone(),
                None => words.incident_unknown.clone(),
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
    pub(super) fn new(line: &SiteLine, words: &Words) -> Option<Self> {
        let (expires, left_s) = line
            .first_expiry()
            .filter(|(_, left_s)| *left_s < EXPIRING_DAYS * 86_400)?;
        let of = words.first_to_expire(line);
        Some(Self {
            site: printable(&line.site),
            whose: of.map_or_else(|| words.certificate_its_own.clone(), |of| printable(&of)),
            expires: time(expires),
            left_s,
            left: words.validity(left_s),
        })
    }
}

/// Where from, in words; the default location is not shown.
pub(super) fn displayed_location(location: &str, words: &Words) -> String {
    if location == "default" {
        String::new()
    } else {
        fill(&words.from_location, &[("location", &printable(location))])
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
