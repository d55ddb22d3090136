//! What of a promised uptime was kept, as a page.

use std::io;

use askama::Template;
use sitewatch::run::Failure;

use super::{SITES, style_hash};
use crate::lines::SlaLine;
use crate::output;
use crate::read::Reader;
use crate::read::sla::Promises;
use crate::settings::Settings;
use crate::words::{balance, lasting, number_of_sites, printable, share_of_time, time};

/// The page.
#[derive(Template)]
#[template(path = "sla.html")]
struct Page {
    title: String,
    style: &'static str,
    style_hash: String,
    from: String,
    until: String,
    made_at: String,
    made_at_machine: String,
    target: f64,
    groups: Vec<LineView>,
    sites: Vec<LineView>,
    /// Sites that the page has no room for.
    sites_left: u64,
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
    met: (&'static str, &'static str),
}

impl LineView {
    fn new(line: SlaLine) -> Self {
        let group = line.group.as_deref().map(printable).unwrap_or_default();
        let (name, note) = match line.site {
            Some(site) => (printable(&site), group),
            None => {
                let all = number_of_sites(line.sites);
                (group, format!("{all}, {} kept it", line.sites_met))
            }
        };
        Self {
            name,
            note,
            uptime: share_of_time(line.uptime),
            down: lasting(line.downtime_s),
            incidents: line.incidents,
            coverage: share_of_time(line.coverage),
            budget: lasting(line.budget_s),
            left: balance(line.budget_left_s),
            met: match line.met {
                Some(true) => ("up", "kept"),
                Some(false) => ("down", "missed"),
                None => ("unknown", "not known"),
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
    promises: &Promises,
) -> Result<(), Failure> {
    let sites = promises.first_sites(reader, SITES)?;
    let now = reader.span.now;
    let page = Page {
        title: printable(&settings.title),
        style: super::STYLE,
        style_hash: style_hash(),
        from: time(settings.period.from),
        until: time(settings.period.until),
        made_at: time(now),
        made_at_machine: now.to_string(),
        target: settings.target,
        groups: promises.groups().map(LineView::new).collect(),
        sites_left: promises.sites().saturating_sub(sites.len() as u64),
        sites: sites.into_iter().map(LineView::new).collect(),
    };
    output::write(settings.output.as_deref(), |to| {
        page.write_into(to).map_err(io::Error::other)?;
        Ok(())
    })
}
