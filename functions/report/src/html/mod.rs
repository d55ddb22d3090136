//! The status page: one file, no scripts, nothing from elsewhere.
//!
//! Its Content-Security-Policy allows the one style sheet, by its hash, and nothing else. Names,
//! errors and everything else from outside are escaped by the template engine.

mod bar;
mod page;
mod plot;

use std::collections::HashMap;
use std::io;

use askama::Template as _;
use sitewatch::run::Failure;

use crate::output;
use crate::read::sites::Site;
use crate::read::uptime::Day;
use crate::read::{Key, Reader, incidents, plots};
use crate::settings::Settings;
use bar::Bar;
use page::Page;

/// The bars of all sites, filled while their checks are counted.
#[derive(Default)]
pub(crate) struct Bars(HashMap<Key, Bar>);

impl Bars {
    /// Adds a site's day.
    pub(crate) fn add(&mut self, day: &Day) {
        if let Ok(ago) = usize::try_from(day.ago) {
            self.0
                .entry(day.key)
                .or_default()
                .add(ago, day.up, day.down);
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
    sites: &[Site],
    bars: &Bars,
) -> Result<(), Failure> {
    let drawn: Vec<Key> = sites
        .iter()
        .filter_map(|site| site.key)
        .take(settings.plots)
        .collect();
    let plots = if drawn.is_empty() {
        HashMap::new()
    } else {
        plots::read(reader, &drawn)?
    };
    let incidents = incidents::read(reader, settings)?;
    let page = Page::new(settings, &reader.span, sites, &bars.0, &plots, incidents);
    output::write(settings.output.as_deref(), |to| {
        page.write_into(to).map_err(io::Error::other)
    })
}
