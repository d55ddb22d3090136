//! A site of the page, as texts and paths.

use super::bar::Drawing;
use super::page::displayed_location;
use super::plot::{self, Plot, Stretch};
use crate::lines::SiteLine;
use crate::read::evidence::Evidence;
use crate::read::plots::Plots;
use crate::states;
use crate::wording::{Words, fill};
use crate::words::{printable, time};

/// A percentage of the time from which on it counts as all of it: a check may be late.
const WHOLE: f64 = 99.5;

/// A site.
pub(super) struct SiteView {
    pub(super) name: String,
    /// Where from, in words, and since when; empty: not told.
    pub(super) location: String,
    pub(super) state: &'static str,
    pub(super) since: String,
    /// What the site is, where the location sees something else; else empty.
    pub(super) verdict: &'static str,
    pub(super) verdict_since: String,
    pub(super) error: String,
    pub(super) bar: Drawing,
    /// Window, percentage, and the share of the time that it speaks for where that is not all.
    pub(super) uptimes: [(&'static str, String, String); 4],
    pub(super) p50: String,
    pub(super) p95: String,
    /// How long the first to expire of its certificates has left, and whose that is, where it is not
    /// the site's own.
    pub(super) certificate: String,
    pub(super) certificate_of: String,
    pub(super) plots: Vec<Plot>,
    pub(super) plots_heading: String,
    /// A heading, and what the newest failed check received.
    pub(super) evidence: Option<(String, String)>,
}

impl SiteView {
    pub(super) fn new(
        line: &SiteLine,
        bar: Drawing,
        plots: Option<&Plots>,
        stretches: &[Stretch; 3],
        evidence: Option<&Evidence>,
        words: &Words,
    ) -> Self {
        let since = |at| fill(&words.since, &[("time", &time(at))]);
        let why = match (line.state, line.checked_at) {
            (_, None) => words.never_checked.clone(),
            (states::UNMONITORED, Some(at)) => fill(&words.no_check_since, &[("time", &time(at))]),
            (states::UP, _) => String::new(),
            _ => line.error.clone().unwrap_or_default(),
        };
        Self {
            name: printable(&line.site),
            location: displayed_location(line.location.as_deref().unwrap_or_default(), words),
            state: line.state,
            since: line.since.map(since).unwrap_or_default(),
            verdict: if line.verdict == line.state {
                ""
            } else {
                line.verdict
            },
            verdict_since: line.verdict_since.map(since).unwrap_or_default(),
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
                let partial =
                    partial.map(|_| fill(&words.covered, &[("share", &words.percentage(partial))]));
                (
                    window,
                    words.percentage(uptime),
                    partial.unwrap_or_default(),
                )
            }),
            p50: words.milliseconds(line.p50_us),
            p95: words.milliseconds(line.p95_us),
            certificate: line
                .first_expiry()
                .map(|(_, left_s)| words.validity(left_s))
                .unwrap_or_default(),
            certificate_of: printable(&words.first_to_expire(line).unwrap_or_default()),
            evidence: evidence.map(|evidence| {
                let lines: Vec<String> = evidence.received.lines().map(printable).collect();
                let checked_at = time(evidence.checked_at);
                let heading = fill(&words.evidence, &[("time", &checked_at)]);
                (heading, lines.join("\n"))
            }),
            plots_heading: fill(&words.plots, &[("site", &printable(&line.site))]),
            plots: plots
                .map(|plots| {
                    [
                        plot::draw(&stretches[0], &plots.day, words),
                        plot::draw(&stretches[1], &plots.week, words),
                        plot::draw(&stretches[2], &plots.quarter, words),
                    ]
                    .into_iter()
                    .flatten()
                    .collect()
                })
                .unwrap_or_default(),
        }
    }
}
