//! What the template is given: texts and paths, nothing to be worked out there.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;

use askama::Template;
use jiff::civil::Date;

use super::bar::Bar;
use super::groups::Group;
use super::plot::Stretch;
use super::site::SiteView;
use super::{Content, SCRIPT, STYLE, hash};
use crate::counts::Counts;
use crate::lines::{IncidentLine, SiteLine};
use crate::read::Key;
use crate::read::evidence::Evidence;
use crate::read::plots::Plots;
use crate::read::sites::Site;
use crate::read::span::Span;
use crate::settings::Settings;
use crate::states;
use crate::wording::{Words, fill};
use crate::words::{lasting, printable, time};

/// Certificates are listed when they expire within this many days.
const EXPIRING_DAYS: i64 = 30;

/// From so many sites on the page has a field to search them.
const SEARCHED: usize = 10;

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page<'a> {
    words: &'a Words,
    title: String,
    style: &'static str,
    style_hash: String,
    script: &'static str,
    script_hash: String,
    /// Whether there are so many sites that one is searched for.
    is_searched: bool,
    /// The worst state that a site is in.
    state: &'static str,
    overall: String,
    made_at: String,
    made_at_machine: String,
    /// With line ends.
    announcements: Vec<String>,
    /// Whether they are shown as groups, and not as one list.
    is_grouped: bool,
    groups: Vec<GroupView>,
    drawn: Drawn,
    /// What of sites, incidents and certificates the page has no room for; empty: nothing.
    sites_left: String,
    incidents: Vec<IncidentView>,
    incidents_left: String,
    certificates: Vec<CertificateView>,
    certificates_left: String,
}

/// The sites that are drawn, in the order of their groups, and what is drawn of them.
struct Drawn {
    sites: Vec<Site>,
    bars: HashMap<Key, Bar>,
    plots: HashMap<Key, Plots>,
    evidence: HashMap<Key, Evidence>,
    stretches: [Stretch; 3],
    today: Date,
}

/// A group of sites.
struct GroupView {
    title: String,
    /// How many of its sites are in which state.
    counts: String,
    is_up: bool,
    /// Where those that are drawn are among all that are.
    sites: Range<usize>,
    /// What of them is not drawn; empty: nothing.
    sites_left: String,
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
        let stretches = [
            Stretch::day(span, words),
            Stretch::week(span, words),
            Stretch::quarter(span, words),
        ];
        let mut sites = content.sites;
        let (groups, sites_left) = content.groups.divide(&mut sites);
        let more = |left: u64| match left {
            0 => String::new(),
            left => fill(&words.more, &[("count", &left)]),
        };
        Self {
            words,
            title: printable(&settings.title),
            style: STYLE,
            style_hash: hash(STYLE),
            script: SCRIPT,
            script_hash: hash(SCRIPT),
            is_searched: sites.len() >= SEARCHED,
            state: counts
                .worst_first()
                .next()
                .map_or(states::UP, |(_, state)| state),
            overall: overall(counts, words),
            made_at: fill(&words.as_of, &[("time", &time(span.now))]),
            made_at_machine: span.now.to_string(),
            announcements: settings.announcements.clone(),
            is_grouped: settings.group_by.is_some(),
            groups: groups
                .into_iter()
                .map(|group| GroupView::new(group, words))
                .collect(),
            drawn: Drawn {
                sites,
                bars: content.bars,
                plots: content.plots,
                evidence: content.evidence,
                stretches,
                today: span.today,
            },
            sites_left: not_drawn(sites_left, words),
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

impl Drawn {
    /// These sites as the page shows them: one at a time, because all of them are megabytes.
    fn views(&self, sites: &Range<usize>, words: &Words) -> impl Iterator<Item = SiteView> {
        let sites = self.sites.get(sites.clone()).unwrap_or_default();
        sites.iter().map(|site| {
            let of_key = site.key.as_ref();
            let no_checks = Bar::default();
            let bar = of_key.and_then(|key| self.bars.get(key));
            let bar = bar.unwrap_or(&no_checks);
            SiteView::new(
                &site.line,
                bar.draw(site.watched, self.today, words),
                of_key.and_then(|key| self.plots.get(key)),
                &self.stretches,
                of_key.and_then(|key| self.evidence.get(key)),
                words,
            )
        })
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

/// What is said of sites that are not drawn; empty: there are none.
fn not_drawn(left: Counts, words: &Words) -> String {
    match left.all() {
        0 => String::new(),
        _ => fill(&words.not_drawn, &[("states", &words.counts(left))]),
    }
}

impl GroupView {
    fn new(group: Group, words: &Words) -> Self {
        Self {
            counts: words.counts(group.counts),
            is_up: group.is_up(),
            sites: group.sites.clone(),
            sites_left: not_drawn(group.counts - group.drawn, words),
            title: group
                .value
                .map_or_else(|| words.other_sites.clone(), |value| printable(&value)),
        }
    }
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
