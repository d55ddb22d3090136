//! The sites of this run: read, enabled, ours, and with everything they refer to at hand.

use std::sync::Arc;

use sitewatch::postgres::{connect, explain};
use sitewatch::run::Failure;
use sitewatch::settings::{DatabaseSettings, Problems};
use sitewatch::site::{
    Auth, Proxy, Row, Secrets, Site, SiteDefaults, Text, fields_of_row, parse_objects,
};

use crate::check::tls::TlsContexts;
use crate::schedule::in_shard;
use crate::settings::Source;

/// Reads the sites: all of a list, of the database's those that are enabled.
///
/// # Errors
/// When the database cannot be read, or its rows are no valid sites.
pub(crate) fn load(source: Source) -> Result<Vec<Site>, Failure> {
    match source {
        Source::List(sites) => Ok(sites),
        Source::Database(database, defaults) => from_database(&database, &defaults),
    }
}

/// Those that are enabled and of this shard.
pub(crate) fn ours(sites: Vec<Site>, shard: (u32, u32)) -> Vec<Arc<Site>> {
    sites
        .into_iter()
        .filter(|site| site.enabled && in_shard(&site.name, shard.0, shard.1))
        .map(Arc::new)
        .collect()
}

fn from_database(
    settings: &DatabaseSettings,
    defaults: &SiteDefaults,
) -> Result<Vec<Site>, Failure> {
    let mut client = connect(settings, "probe")?;
    let rows = client
        .query(
            "select name, url, check_interval, up_regex, enabled, labels::text, settings::text
             from websites
             where enabled
             order by name",
            &[],
        )
        .map_err(|error| explain("the sites could not be read", &error))?;
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
    parse_objects(rows, defaults).map_err(|problems| {
        let mut all = Problems::default();
        for problem in problems.list() {
            all.add("table websites, by name:", problem.to_string());
        }
        Failure::Configuration(all)
    })
}

/// The column's text; jsonb always parses.
fn json(text: Option<&str>) -> Option<serde_json::Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// Proves, before any check, that the secrets and files that sites name are there.
///
/// # Errors
/// Every one that is not, with the site that names it.
pub(crate) fn prepare(
    sites: &[Arc<Site>],
    secrets: &Secrets,
    tls: &TlsContexts,
) -> Result<(), Failure> {
    let mut problems = Problems::default();
    for site in sites {
        for (field, text) in texts(site) {
            if let Err(why) = secrets.find(text) {
                problems.add(format!("site {}: {field}", site.name), why);
            }
        }
        // The system's authorities take long to load: not before a check needs them.
        if (site.tls.ca_file.is_some() || site.tls.client.is_some())
            && let Err(why) = tls.get(&site.tls)
        {
            problems.add(format!("site {}:", site.name), why);
        }
    }
    if problems.list().is_empty() {
        Ok(())
    } else {
        Err(Failure::Configuration(problems))
    }
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
