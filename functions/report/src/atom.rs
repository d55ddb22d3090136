//! Incidents as an Atom feed (RFC 4287), for readers of news and for chats.

use std::fmt::Display;
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
use crate::wording::{Words, fill};
use crate::words::{lasting, time, xml};

/// The most entries of a feed: readers fetch all of it again and again.
const ENTRIES: u64 = 1_000;

#[derive(Template)]
#[template(path = "incidents.atom", escape = "html")]
struct Feed<'a> {
    lang: &'a str,
    id: String,
    /// What the feed is called, and who speaks in it.
    name: String,
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
    fn new(feed: &str, line: &IncidentLine, words: &Words) -> Self {
        let (title, text, updated, to) = match (line.ended, line.closed_at) {
            (_, Some(closed_at)) => (
                &words.feed_over,
                &words.feed_over_text,
                closed_at,
                closed_at,
            ),
            ("ongoing", None) => (
                &words.feed_ongoing,
                &words.feed_ongoing_text,
                line.opened_at,
                line.opened_at,
            ),
            _ => (
                &words.feed_unknown,
                &words.feed_unknown_text,
                line.last_failed_at.max(line.opened_at),
                line.last_failed_at,
            ),
        };
        let values: &[(&str, &dyn Display)] = &[
            ("site", &xml(&line.site)),
            ("duration", &lasting(line.duration_s)),
            ("from", &time(line.opened_at)),
            ("to", &time(to)),
            ("location", &xml(&line.location)),
            ("why", &xml(line.error.as_ref().unwrap_or(&line.outcome))),
        ];
        Self {
            id: id(&[feed, &line.site, &line.opened_at.to_string()]),
            title: fill(title, values),
            published: line.opened_at,
            updated,
            text: fill(text, values),
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
    let words = &settings.words;
    let lines = incidents.first(reader, ENTRIES)?;
    let page = settings.page.as_ref().map(Url::as_str).unwrap_or_default();
    // What the feed is of: its page, or what it calls itself.
    let of = if page.is_empty() {
        &settings.title
    } else {
        page
    };
    let entries: Vec<Entry> = lines
        .iter()
        .map(|line| Entry::new(of, line, words))
        .collect();
    let feed = Feed {
        lang: &words.lang,
        id: id(&[of]),
        name: fill(&words.feed_title, &[("title", &xml(&settings.title))]),
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
