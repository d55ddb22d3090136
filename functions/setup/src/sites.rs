//! A list of sites into the table `websites`.

use postgres::Client;
use postgres::types::Type;
use sitewatch::postgres::{begin, explain, retried};
use sitewatch::run::Failure;
use sitewatch::settings::DatabaseSettings;
use sitewatch::site::Row;

/// Inserts the sites, or brings those of the same name up to what the list says. Sites that the
/// list does not name stay as they are: a list may be one of several.
///
/// # Errors
/// When PostgreSQL refuses.
pub(crate) fn import(
    client: &mut Client,
    settings: &DatabaseSettings,
    rows: &[Row],
) -> Result<u64, Failure> {
    let work = || -> Result<u64, postgres::Error> {
        let json = |value: &Option<serde_json::Value>| {
            value
                .as_ref()
                .map_or_else(|| "{}".to_owned(), ToString::to_string)
        };
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let urls: Vec<&str> = rows.iter().map(|row| row.url.as_str()).collect();
        let intervals: Vec<Option<f64>> = rows.iter().map(|row| row.check_interval).collect();
        let regexes: Vec<Option<&str>> = rows.iter().map(|row| row.up_regex.as_deref()).collect();
        let enabled: Vec<bool> = rows.iter().map(|row| row.enabled).collect();
        let labels: Vec<String> = rows.iter().map(|row| json(&row.labels)).collect();
        let others: Vec<String> = rows.iter().map(|row| json(&row.settings)).collect();
        let mut transaction = begin(client, settings)?;
        let imported = transaction.execute_typed(
            include_str!("sites.sql"),
            &[
                (&names, Type::TEXT_ARRAY),
                (&urls, Type::TEXT_ARRAY),
                (&intervals, Type::FLOAT8_ARRAY),
                (&regexes, Type::TEXT_ARRAY),
                (&enabled, Type::BOOL_ARRAY),
                (&labels, Type::TEXT_ARRAY),
                (&others, Type::TEXT_ARRAY),
            ],
        )?;
        transaction.commit()?;
        Ok(imported)
    };
    retried(work).map_err(|error| explain("importing the list of sites", &error))
}
