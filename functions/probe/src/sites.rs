//! The sites of this run: read, enabled, ours, and with everything they refer to at hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use sitewatch::postgres::{begin, connect, explain};
use sitewatch::run::Failure;
use sitewatch::settings::{DatabaseSettings, Problems};
use sitewatch::site::{Auth, Proxy, Row, Site, SiteDefaults, Text, fields_of_row, parse_objects};

use crate::check::tls::TlsContexts;
use crate::schedule::in_shard;
use crate::secrets::Secrets;
use crate::settings::Source;

/// The sites as they were read.
pub(crate) struct Loaded {
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) refused: Refused,
}

/// What becomes of sites that cannot be checked as they are.
///
/// A list is one person's and is deployed as a whole: a mistake in it stops the run before the
/// first check, where it is seen at once. The table's rows are many people's, at any hour: whoever
/// makes one invalid must not switch off the monitoring of the others.
pub(crate) enum Refused {
    /// The run ends.
    Fatal,
    /// These many were told and left out.
    LeftOut(usize),
}

impl Refused {
    /// Tells the problems that these many sites have.
    ///
    /// # Errors
    /// The problems, when they are fatal.
    fn tell(&mut self, sites: usize, problems: Problems) -> Result<(), Failure> {
        match self {
            _ if problems.list().is_empty() => Ok(()),
            Self::Fatal => Err(Failure::Configuration(problems)),
            Self::LeftOut(count) => {
                *count += sites;
                log::error!("{problems}");
                Ok(())
            }
        }
    }

    /// How many sites were left out.
    pub(crate) fn left_out(&self) -> usize {
        match self {
            Self::Fatal => 0,
            Self::LeftOut(count) => *count,
        }
    }
}

/// Reads the sites: all of a list, of the database's those that are enabled.
///
/// # Errors
/// When the database cannot be read.
pub(crate) fn load(source: Source) -> Result<Loaded, Failure> {
    match source {
        Source::List(sites) => Ok(Loaded {
            sites,
            refused: Refused::Fatal,
        }),
        Source::Database(database, defaults) => from_database(&database, &defaults),
    }
}

/// Those that are enabled and of this shard.
pub(crate) fn ours(mut sites: Vec<Arc<Site>>, shard: (u32, u32)) -> Vec<Arc<Site>> {
    sites.retain(|site| site.enabled && in_shard(&site.name, shard.0, shard.1));
    sites.shrink_to_fit();
    sites
}

fn from_database(settings: &DatabaseSettings, defaults: &SiteDefaults) -> Result<Loaded, Failure> {
    let doing = "reading the sites";
    let mut client = connect(settings, "probe")?;
    let rows = begin(&mut client, settings)
        .map_err(|error| explain(doing, &error))?
        .query(
            "select name, url, check_interval, up_regex, enabled, labels::text, settings::text
             from websites
             where enabled
             order by name",
            &[],
        )
        .map_err(|error| explain(doing, &error))?;
    let rows = rows.iter().map(|row| {
        fields_of_row(Row {
            name: row.get(0),
            url: row.get(1),
            check_interval: row.get(2),
            up_regex: row.get(3),
            enabled: row.get(4),
            labels: json(row.get(5)),
            settings: json(row.get(6)),
        })
    });
    let (sites, wrong) = parse_objects(rows, defaults);
    let mut problems = Problems::default();
    let mut positions = BTreeSet::new();
    for problem in wrong.list() {
        positions.insert(problem.position);
        problems.add("table websites, by name:", problem.to_string());
    }
    let mut refused = Refused::LeftOut(0);
    refused.tell(positions.len(), problems)?;
    Ok(Loaded { sites, refused })
}

/// The column's text; jsonb always parses.
fn json(text: Option<&str>) -> Option<serde_json::Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// Keeps those of the sites whose secrets and files are there, before any check needs them.
///
/// # Errors
/// Everything that is not there, with the site that names it, when that is fatal.
pub(crate) fn prepare(
    sites: &mut Vec<Arc<Site>>,
    refused: &mut Refused,
    secrets: &Secrets,
    tls: &TlsContexts,
) -> Result<(), Failure> {
    let all = sites.len();
    let mut problems = Problems::default();
    sites.retain(|site| {
        let before = problems.list().len();
        for (field, text) in texts(site) {
            if let Err(why) = secrets.find(text) {
                problems.add(format!("site {}: {field}", site.name), why);
            }
        }
        // The system's CA certificates take long to load: not before a check needs them.
        if (site.tls.ca_file.is_some() || site.tls.client.is_some())
            && let Err(why) = tls.get(&site.tls)
        {
            problems.add(format!("site {}:", site.name), why);
        }
        problems.list().len() == before
    });
    refused.tell(all - sites.len(), problems)
}

fn texts(site: &Site) -> impl Iterator<Item = (&str, &Text)> {
    let request = &site.request;
    let auth: Vec<(&str, &Text)> = match &request.auth {
        None => Vec::new(),
        Some(Auth::Basic { username, password }) => {
            vec![("basic_auth", username), ("basic_auth", password)]
        }
        Some(Auth::Bearer(token)) => vec![("bearer_token", token)],
    };
    let proxy = match &request.proxy {
        Proxy::Through(text) => Some(("proxy", text)),
        Proxy::Environment | Proxy::None => None,
    };
    request
        .headers
        .iter()
        .map(|(name, text)| (name.as_str(), text))
        .chain(request.body.as_ref().map(|body| ("body", body)))
        .chain(auth)
        .chain(proxy)
        .filter(|(_, text)| !matches!(text, Text::Literal(_)))
}
