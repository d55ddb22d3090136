//! What `report` reads from the environment.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use sitewatch::settings::{DatabaseSettings, Reader, database, parse, var};
use sitewatch::words::prometheus_label;
use url::Url;

use crate::announcements;
use crate::filter::{self, Filter};
use crate::period::{self, Period};
use crate::wording::{self, Words};

/// Lines shown of what has no natural end, when nothing is said.
const LINES: u64 = 100;

/// The most that can be asked for, and what is shown when a time is given to begin at.
const MAX_LINES: u64 = 100_000;

/// The most sites that a page draws: 10 MB of it.
const MAX_SITES: u64 = 10_000;

/// Typed and valid. Not `Debug`: the Pushgateway's URL may hold a password.
pub(crate) struct Settings {
    pub(crate) database: DatabaseSettings,
    pub(crate) kind: Kind,
    pub(crate) format: Format,
    /// Where to; `None`: standard output.
    pub(crate) output: Option<PathBuf>,
    pub(crate) filter: Filter,
    /// Nothing from before this; `None`: what is usual for the kind.
    pub(crate) since: Option<Timestamp>,
    /// What the availability objective is for.
    pub(crate) period: Period,
    /// The availability objective, as a percentage.
    pub(crate) target: f64,
    /// The label whose values make groups of sites; `None`: no groups.
    pub(crate) group_by: Option<String>,
    /// The most lines of recent checks, of incidents and of what was not told.
    pub(crate) lines: u64,
    /// How old a site's newest check may be before nothing is known any more.
    pub(crate) stale_after: Duration,
    /// Whether a site that is down is to be told by the exit code.
    pub(crate) fail_on_down: bool,
    /// The status page's title.
    pub(crate) title: String,
    /// What people have to say on it, a paragraph each.
    pub(crate) announcements: Vec<String>,
    /// What pages, feeds and badges say themselves.
    pub(crate) words: Words,
    /// Where people read it.
    pub(crate) page: Option<Url>,
    /// The most lines of sites that it draws.
    pub(crate) max_sites: usize,
    /// Sites whose response times the status page draws.
    pub(crate) plots: usize,
    /// Whether what failed checks received is shown.
    pub(crate) evidence: bool,
    /// Labels of sites that `sitewatch_site_info` has; none: there is no such metric.
    pub(crate) metric_labels: Vec<MetricLabel>,
    /// Where metrics are pushed to instead.
    pub(crate) pushgateway: Option<Url>,
    /// Whether a terminal gets colours.
    pub(crate) colours: bool,
}

/// A label of sites that metrics have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricLabel {
    /// As sites have it.
    pub(crate) name: String,
    /// As Prometheus has it.
    pub(crate) metric_name: String,
}

/// What the answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// A JSON object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// A status page.
    Html,
    /// Metrics in Prometheus' text format.
    Prometheus,
    /// A feed of incidents.
    Atom,
    /// A picture of what one site is.
    Badge,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The state of each site.
    Sites,
    /// The latest checks.
    Recent,
    /// When sites were down.
    Incidents,
    /// What each site's days were like.
    Days,
    /// The last run of each function.
    Runs,
    /// What was not told.
    Notifications,
    /// How an availability objective was met.
    Sla,
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let lines = reader.optional(&var::REPORT_RECENT, parse::count(1, MAX_LINES));
    let kind = kind(reader, lines.is_some());
    let format = format(reader, kind);
    let pushgateway = reader.optional(&var::PROMETHEUS_PUSHGATEWAY_URL, gateway);
    if pushgateway.is_some() && format != Format::Prometheus {
        reader.problem(
            var::PROMETHEUS_PUSHGATEWAY_URL.name,
            "is set, but nothing would be sent there; wants REPORT_FORMAT=prometheus",
        );
    }
    let output = reader.optional(&var::REPORT_OUTPUT, parse::path);
    if pushgateway.is_some() && output.is_some() {
        reader.problem(
            var::REPORT_OUTPUT.name,
            "is set, but metrics go to PROMETHEUS_PUSHGATEWAY_URL instead; wants one of the two",
        );
    }
    let now = Timestamp::now();
    let filter = Filter {
        names: reader.optional(&var::REPORT_SITE, filter::names),
        labels: reader
            .optional(&var::REPORT_LABEL, filter::labels)
            .unwrap_or_default(),
        states: reader.optional(&var::REPORT_STATE, filter::states),
    };
    let since = reader.optional(&var::REPORT_SINCE, |text| period::time(text, now));
    let period = period(reader, kind, since, now);
    // A page lists incidents in passing.
    let usual = match kind {
        Kind::Recent | Kind::Incidents | Kind::Notifications if since.is_some() => MAX_LINES,
        _ => LINES,
    };
    let settings = Settings {
        kind,
        format,
        output,
        filter,
        since,
        period,
        target: reader.or_default(&var::REPORT_SLA_TARGET, percentage),
        group_by: reader.optional(&var::REPORT_GROUP_BY, parse::text),
        lines: lines.unwrap_or(usual),
        stale_after: reader.or_default(&var::REPORT_STALE_AFTER, parse::positive_duration),
        fail_on_down: reader.or_default(&var::REPORT_FAIL_ON_DOWN, parse::boolean),
        title: reader.or_default(&var::REPORT_TITLE, parse::text),
        announcements: reader
            .optional(&var::REPORT_ANNOUNCEMENTS, announcements::read)
            .unwrap_or_default(),
        words: reader
            .optional(&var::REPORT_WORDS_FILE, wording::read)
            .unwrap_or_else(Words::english),
        page: reader.optional(&var::REPORT_URL, web_address),
        max_sites: usize::try_from(
            reader.or_default(&var::REPORT_MAX_SITES, parse::count(1, MAX_SITES)),
        )
        .unwrap_or(1),
        plots: usize::try_from(reader.or_default(&var::REPORT_PLOTS, parse::count(0, 1_000)))
            .unwrap_or(0),
        evidence: reader.or_default(&var::REPORT_EVIDENCE, parse::boolean),
        metric_labels: reader
            .optional(&var::REPORT_PROMETHEUS_LABELS, metric_labels)
            .unwrap_or_default(),
        pushgateway,
        colours: !reader.is_set(&var::NO_COLOR),
        database: database(reader)?,
    };
    Some(settings)
}

/// Reads it. A number of lines alone asks for recent checks.
fn kind(reader: &mut Reader, with_lines: bool) -> Kind {
    let kind = reader.or_default(
        &var::REPORT_KIND,
        parse::word(&[
            ("sites", Kind::Sites),
            ("recent", Kind::Recent),
            ("incidents", Kind::Incidents),
            ("days", Kind::Days),
            ("runs", Kind::Runs),
            ("notifications", Kind::Notifications),
            ("sla", Kind::Sla),
        ]),
    );
    if with_lines && !reader.is_set(&var::REPORT_KIND) {
        Kind::Recent
    } else {
        kind
    }
}

/// Reads it, one that there is for the kind.
fn format(reader: &mut Reader, kind: Kind) -> Format {
    let format = reader.or_default(
        &var::REPORT_FORMAT,
        parse::word(&[
            ("table", Format::Table),
            ("json", Format::Json),
            ("csv", Format::Csv),
            ("html", Format::Html),
            ("prometheus", Format::Prometheus),
            ("atom", Format::Atom),
            ("badge", Format::Badge),
        ]),
    );
    let of_kinds = match format {
        Format::Table | Format::Json | Format::Csv => None,
        Format::Html => Some(("html", [Kind::Sites, Kind::Sla].as_slice(), "sites or sla")),
        Format::Prometheus => Some(("prometheus", [Kind::Sites].as_slice(), "sites")),
        Format::Atom => Some(("atom", [Kind::Incidents].as_slice(), "incidents")),
        Format::Badge => Some(("badge", [Kind::Sites, Kind::Sla].as_slice(), "sites or sla")),
    };
    if let Some((word, kinds, named)) = of_kinds
        && !kinds.contains(&kind)
    {
        reader.problem(
            var::REPORT_FORMAT.name,
            format!("is {word}, which is of REPORT_KIND={named} only; wants table, json or csv with any other kind"),
        );
    }
    format
}

/// Reads it, for what has one.
fn period(reader: &mut Reader, kind: Kind, since: Option<Timestamp>, now: Timestamp) -> Period {
    if kind == Kind::Sla {
        Period::read(reader, since, now)
    } else {
        if reader.is_set(&var::REPORT_UNTIL) {
            reader.problem(
                var::REPORT_UNTIL.name,
                "is set, but nothing would end there; wants REPORT_KIND=sla",
            );
        }
        Period::new(None, None, now)
    }
}

fn percentage(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(number) if number > 0.0 && number <= 100.0 => Ok(number),
        Ok(_) => Err("not above 0 and at most 100".to_owned()),
        Err(_) => Err(String::new()),
    }
}

/// `team,k8s.io/name`, as Prometheus tells them apart from each other and from its own.
fn metric_labels(text: &str) -> Result<Vec<MetricLabel>, String> {
    let mut labels: Vec<MetricLabel> = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let metric_name = prometheus_label(name);
        if metric_name == "site" {
            return Err(format!(
                "{name:?} would be the label site, which is the site's name"
            ));
        }
        if metric_name.starts_with("__") {
            return Err(format!(
                "{name:?} would be the label {metric_name}, and Prometheus keeps names with two underscores before them to itself"
            ));
        }
        if let Some(same) = labels.iter().find(|label| label.metric_name == metric_name) {
            return Err(format!(
                "{:?} and {name:?} would both be the label {metric_name}",
                same.name
            ));
        }
        labels.push(MetricLabel {
            name: name.to_owned(),
            metric_name,
        });
    }
    if labels.is_empty() {
        return Err(String::new());
    }
    Ok(labels)
}

fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(String::new()),
    }
}

fn gateway(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(mut url) if matches!(url.scheme(), "http" | "https") => {
            if matches!(url.path(), "" | "/") {
                url.set_path("/metrics/job/sitewatch");
            }
            Ok(url)
        }
        _ => Err(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_metrics_are_told_apart() {
        let labels = metric_labels("team, k8s.io/name,").unwrap();
        let names: Vec<_> = labels
            .iter()
            .map(|label| (label.name.as_str(), label.metric_name.as_str()))
            .collect();
        assert_eq!(names, [("team", "team"), ("k8s.io/name", "k8s_io_name")]);
        for (text, why) in [
            (",", ""),
            ("site", "would be the label site"),
            ("//x", "would be the label __x"),
            ("a.b,a/b", "would both be the label a_b"),
            ("team,team", "would both be the label team"),
        ] {
            let problem = metric_labels(text).unwrap_err();
            assert!(problem.contains(why), "{text}: {problem}");
        }
    }

    #[test]
    fn a_gateway_without_a_path_gets_the_usual_one() {
        assert_eq!(
            gateway("http://push:9091").map(String::from),
            Ok("http://push:9091/metrics/job/sitewatch".to_owned())
        );
        assert_eq!(
            gateway("https://push/metrics/job/a/instance/b").map(String::from),
            Ok("https://push/metrics/job/a/instance/b".to_owned())
        );
        assert!(gateway("push:9091").is_err());
    }
}
