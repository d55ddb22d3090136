//! How an availability objective was met, as a page.

use std::fmt::Display;
use std::io;

use askama::Template;
use sitewatch::run::Failure;

use super::{SITES, hash};
use crate::lines::SlaLine;
use crate::output;
use crate::read::Reader;
use crate::read::sla::Sla;
use crate::settings::Settings;
use crate::wording::{Words, fill};
use crate::words::{balance, lasting, printable, time};

/// The page.
#[derive(Template)]
#[template(path = "sla.html")]
struct Page<'a> {
    words: &'a Words,
    name: String,
    heading: String,
    title: String,
    style: &'static str,
    style_hash: String,
    made_at: String,
    made_at_machine: String,
    groups: Vec<LineView>,
    sites: Vec<LineView>,
    /// How many sites the page has no room for; empty: none.
    more: String,
}

/// A line of the page.
struct LineView {
    name: String,
    /// Beside the name.
    note: String,
    uptime: String,
    down: String,
    incidents: i64,
    coverage: String,
    budget: String,
    left: String,
    /// The class and the word.
    met: (&'static str, String),
}

impl LineView {
    fn new(line: SlaLine, words: &Words) -> Self {
        let group = line.group.as_deref().map(printable).unwrap_or_default();
        let (name, note) = match line.site {
            Some(site) => (printable(&site), group),
            None => {
                let note = match line.sites {
                    1 => &words.sla_group_one,
                    _ => &words.sla_group_many,
                };
                let values: [(&str, &dyn Display); 2] =
                    [("count", &line.sites), ("met", &line.sites_met)];
                (group, fill(note, &values))
            }
        };
        Self {
            name,
            note,
            uptime: words.share_of_time(line.uptime),
            down: lasting(line.downtime_s),
            incidents: line.incidents,
            coverage: words.share_of_time(line.coverage),
            budget: lasting(line.budget_s),
            left: balance(line.budget_left_s),
            met: match line.met {
                Some(true) => ("up", words.sla_met.clone()),
                Some(false) => ("down", words.sla_missed.clone()),
                None => ("unknown", words.sla_unknown.clone()),
            },
        }
    }
}

/// Writes the page.
///
/// # Errors
/// When PostgreSQL cannot be asked or the page cannot be written.
pub(crate) fn write(
    reader: &mut Reader<'_>,
    settings: &Settings,
    sla: &Sla,
) -> Result<(), Failure> {
    let sites = sla.first_sites(reader, SITES)?;
    let now = reader.span.now;
    let words = &settings.words;
    let title = printable(&settings.title);
    let values: &[(&str, &dyn Display)] = &[
        ("title", &title),
        ("from", &time(settings.period.from)),
        ("until", &time(settings.period.until)),
        ("target", &words.decimal(&settings.target.to_string())),
    ];
    let page = Page {
        name: fill(&words.sla_title, values),
        heading: fill(&words.sla_heading, values),
        words,
        style: super::STYLE,
        style_hash: hash(super::STYLE),
        made_at: fill(&words.as_of, &[("time", &time(now))]),
        made_at_machine: now.to_string(),
        groups: sla
            .groups()
            .map(|line| LineView::new(line, words))
            .collect(),
        more: match sla.sites().saturating_sub(sites.len() as u64) {
            0 => String::new(),
            left => fill(&words.more, &[("count", &left)]),
        },
        sites: sites
            .into_iter()
            .map(|line| LineView::new(line, words))
            .collect(),
        title,
    };
    output::write(settings.output.as_deref(), |to| {
        page.write_into(to).map_err(io::Error::other)?;
        Ok(())
    })
}
