//! Incidents as an Atom feed (RFC 4287), for readers of news and for chats.

use std::io;

use askama::Template;
use jiff::Timestamp;
use sitewatch::run::Failure;
use url::Url;
use uuid::{Builder, Uuid};

use crate::lines::IncidentLine;
use crate::output;
use crate::read::Reader;
use crate::read::incidents::Incidents;
use crate::settings::Settings;
use crate::words::{lasting, time, xml};

/// The most entries of a feed: readers fetch all of it again and again.
const ENTRIES: u64 = 1_000;

#[derive(Template)]
#[template(path = "incidents.atom", escape = "html")]
struct Feed {
    id: String,
    title: String,
    updated: Timestamp,
    version: &'static str,
    /// Where people read the same; empty: nowhere that is known.
    page: String,
    entries: Vec<Entry>,
}

struct Entry {
    id: String,
    title: String,
    published: Timestamp,
    updated: Timestamp,
    text: String,
}

impl Entry {
    fn new(feed: &str, line: &IncidentLine) -> Self {
        let site = xml(&line.site);
        let (title, updated, until) = match (line.ended, line.closed_at) {
            (_, Some(closed_at)) => (
                format!("{site} was down for {}", lasting(line.duration_s)),
                closed_at,
                format!("to {}", time(closed_at)),
            ),
            ("ongoing", None) => (
                format!("{site} is down"),
                line.opened_at,
                "and still".to_owned(),
            ),
            _ => (
                format!("{site} was down, and is not checked any more"),
                line.last_failed_at.max(line.opened_at),
                format!("to {} at least", time(line.last_failed_at)),
            ),
        };
        let why = line.error.as_ref().unwrap_or(&line.outcome);
        Self {
            id: id(&[feed, &line.site, &line.opened_at.to_string()]),
            title,
            published: line.opened_at,
            updated,
            text: format!(
                "Down from {} {until}, seen from {}: {}",
                time(line.opened_at),
                xml(&line.location),
                xml(why)
            ),
        }
    }
}

/// The same for the same names, and no other's.
fn id(names: &[&str]) -> String {
    let mut hasher = openssl::sha::Sha256::new();
    for name in names {
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(hasher.finish())
        .for_each(|(byte, hashed)| *byte = hashed);
    let uuid: Uuid = Builder::from_custom_bytes(bytes).into_uuid();
    uuid.urn().to_string()
}

/// Writes the feed; returns how many entries it has.
///
/// # Errors
/// When PostgreSQL cannot be asked or the feed cannot be written.
pub(crate) fn write(
    reader: &mut Reader<'_>,
    settings: &Settings,
    incidents: &Incidents,
) -> Result<u64, Failure> {
    let lines = incidents.first(reader, ENTRIES)?;
    let page = settings.page.as_ref().map(Url::as_str).unwrap_or_default();
    // What the feed is of: its page, or what it calls itself.
    let of = if page.is_empty() {
        &settings.title
    } else {
        page
    };
    let entries: Vec<Entry> = lines.iter().map(|line| Entry::new(of, line)).collect();
    let feed = Feed {
        id: id(&[of]),
        title: xml(&settings.title),
        updated: entries
            .iter()
            .map(|entry| entry.updated)
            .max()
            .unwrap_or(reader.span.now),
        version: env!("CARGO_PKG_VERSION"),
        page: page.to_owned(),
        entries,
    };
    output::write(settings.output.as_deref(), |to| {
        feed.write_into(to).map_err(io::Error::other)?;
        Ok(())
    })?;
    Ok(feed.entries.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_its_names_and_of_where_each_ends() {
        let one = id(&["https://status.example/", "shop"]);
        assert_eq!(one, id(&["https://status.example/", "shop"]));
        assert_ne!(one, id(&["https://status.example/s", "hop"]));
        assert!(one.starts_with("urn:uuid:"), "{one}");
    }
}
