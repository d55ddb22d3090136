//! What `report` reads from the environment.

use std::time::Duration;

use sitewatch::settings::{
    DATABASE, DatabaseSettings, RUN, Reader, Variable, database, parse, var,
};

/// Everything `report` reads.
pub(crate) const VARIABLES: &[&[&Variable]] = &[OURS, DATABASE, RUN];

const OURS: &[&Variable] = &[
    &var::REPORT_FORMAT,
    &var::REPORT_RECENT,
    &var::REPORT_STALE_AFTER,
];

/// Typed and valid.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) database: DatabaseSettings,
    pub(crate) format: Format,
    pub(crate) what: What,
    /// How old a site's newest check may be before nothing is known any more.
    pub(crate) stale_after: Duration,
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
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The state of each site.
    Sites,
    /// This many of the latest checks.
    Recent(u64),
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let format = reader.or_default(
        &var::REPORT_FORMAT,
        parse::word(&[
            ("table", Format::Table),
            ("json", Format::Json),
            ("csv", Format::Csv),
        ]),
    );
    let recent = reader.optional(&var::REPORT_RECENT, parse::count(1, 100_000));
    let stale_after = reader.or_default(&var::REPORT_STALE_AFTER, parse::positive_duration);
    Some(Settings {
        database: database(reader)?,
        format,
        what: recent.map_or(What::Sites, What::Recent),
        stale_after,
    })
}
