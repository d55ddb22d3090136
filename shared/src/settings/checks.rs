//! Which sites there are, and what holds for those that say nothing else.

use std::time::Duration;

use super::{Reader, Variable, parse, var};
use crate::site::{SiteDefaults, SiteProblems};

/// The variables that name the source of sites.
pub static SITES: &[&Variable] = &[&var::SITES, &var::SITES_FILE, &var::SITES_FROM];

/// The variables that are defaults of every site.
pub static CHECKS: &[&Variable] = &[
    &var::CHECK_TIMEOUT,
    &var::CHECK_INTERVAL,
    &var::CHECK_MAX_BODY,
];

/// Where the list of sites is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteSource {
    /// Here: the text of `SITES`, or of the file that `SITES_FILE` names.
    List {
        /// What to name in messages about it.
        on: String,
        /// The list.
        text: String,
    },
    /// In the table `websites`.
    Database,
}

impl SiteSource {
    /// What is wrong with a list, as problems of the configuration, one a line.
    pub fn blame(on: &str, problems: &SiteProblems, reader: &mut Reader) {
        for problem in problems.list() {
            reader.problem(format!("{on}:"), problem.to_string());
        }
    }
}

/// Reads where the sites are; `None` when none of the variables is set, or when problems were
/// added.
pub fn site_source(reader: &mut Reader) -> Option<SiteSource> {
    let given: Vec<&str> = SITES
        .iter()
        .filter(|variable| reader.is_set(variable))
        .map(|variable| variable.name)
        .collect();
    if given.len() > 1 {
        reader.problem(
            given.join(" and "),
            "are both set; keep one source of sites",
        );
        return None;
    }
    if let Some(text) = reader.optional(&var::SITES, parse::text) {
        return Some(SiteSource::List {
            on: var::SITES.name.to_owned(),
            text,
        });
    }
    if let Some(path) = reader.optional(&var::SITES_FILE, parse::path) {
        return match std::fs::read_to_string(&path) {
            Ok(text) => Some(SiteSource::List {
                on: path.display().to_string(),
                text,
            }),
            Err(error) => {
                reader.problem(
                    var::SITES_FILE.name,
                    format!("is {path:?}, which cannot be read: {error}"),
                );
                None
            }
        };
    }
    reader.optional(&var::SITES_FROM, parse::word(&[("database", ())]))?;
    Some(SiteSource::Database)
}

/// Reads what holds for sites that say nothing else.
pub fn check_defaults(reader: &mut Reader) -> SiteDefaults {
    let mut defaults = SiteDefaults::default();
    defaults.timeouts.total = reader.or_default(&var::CHECK_TIMEOUT, parse::positive_duration);
    defaults.interval =
        reader.or_default(&var::CHECK_INTERVAL, |text| match parse::duration(text)? {
            interval if interval < Duration::from_secs(1) => Err("less than 1s".to_owned()),
            interval => Ok(interval),
        });
    defaults.body_limit = reader.or_default(&var::CHECK_MAX_BODY, parse::size);
    defaults
}
