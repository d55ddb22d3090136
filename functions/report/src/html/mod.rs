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
use crate::read::days::{self, BAR_DAYS};
use crate::read::sites::Site;
use crate::read::{Key, Reader, incidents, plots};
use crate::settings::Settings;
use bar::Bar;
use page::Page;

/// Writes the page.
///
/// # Errors
/// When PostgreSQL cannot be asked or the page cannot be written.
pub(crate) fn write(
    reader: &mut Reader<'_>,
    settings: &Settings,
    sites: &[Site],
) -> Result<(), Failure> {
    let mut bars: HashMap<Key, Bar> = sites
        .iter()
        .filter_map(|site| Some((site.key?, Bar::default())))
        .collect();
    let first = reader.span.first_day();
    days::counts(reader, first, |day| {
        if let (Some(bar), Ok(ago)) = (bars.get_mut(&day.key), usize::try_from(day.ago)) {
            bar.add(ago, day.up, day.down);
        }
    })?;
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
    let page = Page::new(settings, &reader.span, sites, &bars, &plots, incidents);
    output::write(settings.output.as_deref(), |to| {
        page.write_into(to).map_err(io::Error::other)
    })
}

const _: () = assert!(BAR_DAYS == 90, "the template's texts say 90 days");
