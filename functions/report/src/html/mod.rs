//! The status page: one file, nothing from elsewhere.
//!
//! Its Content-Security-Policy allows the one style sheet and, where there are sites to search, the one
//! script, by their hashes, and nothing else. Names, errors and everything else from outside are escaped
//! by the template engine.

mod bar;
mod groups;
mod page;
mod plot;
mod site;
pub(crate) mod sla;

use std::collections::HashMap;
use std::io;

use askama::Template as _;
use sitewatch::run::Failure;

use crate::counts::Counts;
use crate::lines::{IncidentLine, SiteLine};
use crate::output::{self, Interrupted};
use crate::read::evidence::{self, Evidence};
use crate::read::incidents::Incidents;
use crate::read::plots::Plots;
use crate::read::sites::{Site, Sites};
use crate::read::uptime::Day;
use crate::read::{Key, Reader, plots};
use crate::settings::Settings;
use crate::states;
use crate::wording::Words;
use bar::Bar;
use groups::Groups;
use page::{CertificateView, Page};

const STYLE: &str = include_str!("../../templates/page.css");

/// Finds sites by their names; the page is whole without it.
const SCRIPT: &str = include_str!("../../templates/page.js");

/// The SHA-256 of a style sheet or a script, as the Content-Security-Policy wants it.
fn hash(text: &str) -> String {
    openssl::base64::encode_block(&openssl::sha::sha256(text.as_bytes()))
}

/// The bars of all sites, filled while their checks are counted.
#[derive(Default)]
struct Bars(HashMap<Key, Bar>);

impl Bars {
    /// Adds a site's day.
    fn add(&mut self, day: &Day) {
        if let Ok(ago) = usize::try_from(day.ago) {
            self.0.entry(day.key).or_default().add(ago, day.counts);
        }
    }
}

/// The most sites, incidents and certificates that a page shows.
const SITES: u64 = 10_000;
const INCIDENTS: u64 = 1_000;
const CERTIFICATES: usize = 1_000;

/// Writes the page; returns how many sites there are.
///
/// # Errors
/// When PostgreSQL cannot be asked or the page cannot be written.
pub(crate) fn write(
    reader: &mut Reader<'_>,
    settings: &Settings,
    sites: &mut Sites,
) -> Result<Counts, Failure> {
    // Once over all of them for what is told of all.
    let mut counts = Counts::default();
    let mut groups = Groups::default();
    let mut certificates = Certificates::default();
    let read = sites.each(reader, &mut |site| {
        if site.is_first {
            counts.add(site.line.verdict);
        }
        groups.add(&site);
        certificates.add(&site.line, &settings.words);
        Ok(())
    });
    if let Err(Interrupted::Reading(failure)) = read {
        return Err(failure);
    }
    let mut bars = Bars::default();
    let is_drawn = groups.draw(settings.max_sites);
    let shown = sites.some(reader, &is_drawn, &mut |day| bars.add(&day))?;
    if (shown.len() as u64) < sites.rows() {
        log::info!(
            "the page draws {} of {} lines of sites: see REPORT_MAX_SITES; REPORT_SITE, REPORT_LABEL and REPORT_STATE make a page of some sites, REPORT_FORMAT=json and csv have all",
            shown.len(),
            sites.rows()
        );
    }
    let drawn: Vec<Key> = shown
        .iter()
        .filter_map(|site| site.key)
        .take(settings.plots)
        .collect();
    let plots = if drawn.is_empty() {
        HashMap::new()
    } else {
        plots::read(reader, &drawn)?
    };
    let evidence = if settings.evidence {
        let down: Vec<Key> = shown
            .iter()
            .filter(|site| site.line.state == states::DOWN)
            .filter_map(|site| site.key)
            .take(settings.plots)
            .collect();
        evidence::read(reader, &down)?
    } else {
        HashMap::new()
    };
    let incidents = Incidents::open(reader, settings)?;
    let listed = incidents.first(reader, INCIDENTS)?;
    let page = Page::new(
        settings,
        &reader.span,
        Content {
            counts,
            groups,
            sites: shown,
            bars: bars.0,
            plots,
            evidence,
            incidents_left: incidents.rows() - listed.len() as u64,
            incidents: listed,
            certificates,
        },
    );
    output::write(settings.output.as_deref(), |to| {
        page.write_into(to).map_err(io::Error::other)?;
        Ok(())
    })?;
    Ok(counts)
}

/// What a page is made of.
struct Content {
    counts: Counts,
    groups: Groups,
    /// Those that are drawn.
    sites: Vec<Site>,
    bars: HashMap<Key, Bar>,
    plots: HashMap<Key, Plots>,
    evidence: HashMap<Key, Evidence>,
    incidents: Vec<IncidentLine>,
    /// Incidents that the page has no room for.
    incidents_left: u64,
    certificates: Certificates,
}

/// Certificates that expire soon, the first ones of them.
#[derive(Default)]
struct Certificates {
    first: Vec<CertificateView>,
    all: u64,
}

impl Certificates {
    fn add(&mut self, line: &SiteLine, words: &Words) {
        if let Some(certificate) = CertificateView::new(line, words) {
            self.all += 1;
            self.first.push(certificate);
            // Now and then, so that it is not sorted for each.
            if self.first.len() >= 2 * CERTIFICATES {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        self.first.sort_by_key(|certificate| certificate.left_s);
        self.first.truncate(CERTIFICATES);
    }

    /// The first ones in order, and how many more there are.
    fn finish(mut self) -> (Vec<CertificateView>, u64) {
        self.cut();
        let left = self.all - self.first.len() as u64;
        (self.first, left)
    }
}
