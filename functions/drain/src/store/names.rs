//! Names of sites and places → the ids that rows hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use postgres::Transaction;
use postgres::types::Type;

use super::Keyed;
use crate::row::{Location, Row, Site};

/// The ids found or made in one transaction, not yet known to be committed.
#[derive(Default)]
pub(super) struct Names {
    sites: HashMap<*const Site, (Arc<Site>, i32)>,
    locations: HashMap<*const Location, (Arc<Location>, i16)>,
}

impl Names {
    /// Finds, or makes, what the rows' sites and places are known by.
    pub(super) fn resolve(
        &mut self,
        transaction: &mut Transaction<'_>,
        rows: &[Row],
    ) -> Result<(), postgres::Error> {
        let mut sites: BTreeMap<&str, Vec<&Arc<Site>>> = BTreeMap::new();
        let mut locations: BTreeMap<&str, &Arc<Location>> = BTreeMap::new();
        for row in rows {
            if row.site.id.get().is_none() {
                let same_name = sites.entry(&row.site.name).or_default();
                if !same_name.iter().any(|site| Arc::ptr_eq(site, &row.site)) {
                    same_name.push(&row.site);
                }
            }
            if row.location.id.get().is_none() {
                locations.insert(&row.location.name, &row.location);
            }
        }
        if !sites.is_empty() {
            let ids = find_or_make_sites(transaction, &sites)?;
            for (name, same_name) in sites {
                for site in same_name {
                    if let Some(id) = ids.get(name) {
                        self.sites
                            .insert(Arc::as_ptr(site), (Arc::clone(site), *id));
                    }
                }
            }
        }
        if !locations.is_empty() {
            let ids = find_or_make_locations(transaction, &locations)?;
            for (name, location) in locations {
                if let Some(id) = ids.get(name) {
                    self.locations
                        .insert(Arc::as_ptr(location), (Arc::clone(location), *id));
                }
            }
        }
        Ok(())
    }

    /// The rows with their ids.
    ///
    /// # Panics
    /// When a row's site or place was not resolved before, which [`Names::resolve`] does for all.
    pub(super) fn keyed<'a>(&self, rows: &'a [Row]) -> Vec<Keyed<'a>> {
        rows.iter()
            .enumerate()
            .map(|(position, row)| Keyed {
                position,
                website_id: row
                    .site
                    .id
                    .get()
                    .copied()
                    .unwrap_or_else(|| self.sites[&Arc::as_ptr(&row.site)].1),
                location_id: row
                    .location
                    .id
                    .get()
                    .copied()
                    .unwrap_or_else(|| self.locations[&Arc::as_ptr(&row.location)].1),
                checked_at_us: row.checked_at.as_microsecond(),
                row,
            })
            .collect()
    }

    /// Keeps the ids for the rest of the run, now that they are committed.
    pub(super) fn remember(self) {
        for (site, id) in self.sites.into_values() {
            // Another worker may have found the same id first.
            site.id.get_or_init(|| id);
        }
        for (location, id) in self.locations.into_values() {
            location.id.get_or_init(|| id);
        }
    }
}

/// In the names' order, so that two drains that meet the same new sites wait for each other
/// instead of deadlocking. `on conflict do nothing` returns nothing for a row that another
/// transaction has just made; the second look finds it.
fn find_or_make_sites(
    transaction: &mut Transaction<'_>,
    sites: &BTreeMap<&str, Vec<&Arc<Site>>>,
) -> Result<HashMap<String, i32>, postgres::Error> {
    let newest = |name: &str| sites[name].last();
    let names: Vec<&str> = sites.keys().copied().collect();
    let mut ids = sites_by_name(transaction, &names)?;
    let (changed, missing): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| ids.contains_key(**name));
    if !missing.is_empty() {
        let urls: Vec<&str> = missing
            .iter()
            .filter_map(|name| newest(name))
            .map(|site| site.url.as_str())
            .collect();
        let labels: Vec<String> = missing
            .iter()
            .filter_map(|name| newest(name))
            .map(|site| json(&site.labels))
            .collect();
        transaction.execute_typed(
            "insert into websites (name, url, labels, origin, enabled)
             select name, url, labels::jsonb, 'event', false
             from unnest($1, $2, $3) as new (name, url, labels)
             on conflict (name) do nothing",
            &[
                (&missing, Type::TEXT_ARRAY),
                (&urls, Type::TEXT_ARRAY),
                (&labels, Type::TEXT_ARRAY),
            ],
        )?;
        ids.extend(sites_by_name(transaction, &missing)?);
    }
    // Sites that people entered keep what people wrote.
    if !changed.is_empty() {
        let urls: Vec<&str> = changed
            .iter()
            .filter_map(|name| newest(name))
            .map(|site| site.url.as_str())
            .collect();
        let labels: Vec<String> = changed
            .iter()
            .filter_map(|name| newest(name))
            .map(|site| json(&site.labels))
            .collect();
        transaction.execute_typed(
            "update websites set url = new.url, labels = new.labels::jsonb
             from unnest($1, $2, $3) as new (name, url, labels)
             where websites.name = new.name and websites.origin = 'event'
               and (websites.url, websites.labels) is distinct from (new.url, new.labels::jsonb)",
            &[
                (&changed, Type::TEXT_ARRAY),
                (&urls, Type::TEXT_ARRAY),
                (&labels, Type::TEXT_ARRAY),
            ],
        )?;
    }
    Ok(ids)
}

fn json(labels: &[(Box<str>, Box<str>)]) -> String {
    let object: serde_json::Map<String, serde_json::Value> = labels
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_ref().into()))
        .collect();
    serde_json::Value::Object(object).to_string()
}

fn sites_by_name(
    transaction: &mut Transaction<'_>,
    names: &[&str],
) -> Result<HashMap<String, i32>, postgres::Error> {
    Ok(transaction
        .query_typed(
            "select name, id from websites where name = any($1)",
            &[(&names, Type::TEXT_ARRAY)],
        )?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect())
}

fn find_or_make_locations(
    transaction: &mut Transaction<'_>,
    locations: &BTreeMap<&str, &Arc<Location>>,
) -> Result<HashMap<String, i16>, postgres::Error> {
    let names: Vec<&str> = locations.keys().copied().collect();
    let find = "select name, id from locations where name = any($1)";
    let mut ids: HashMap<String, i16> = HashMap::new();
    for attempt in 0..2 {
        for row in transaction.query_typed(find, &[(&names, Type::TEXT_ARRAY)])? {
            ids.insert(row.get(0), row.get(1));
        }
        if ids.len() == names.len() || attempt == 1 {
            break;
        }
        // Only the missing ones: an insert that conflicts still uses up one of 32,767 ids.
        let missing: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| !ids.contains_key(*name))
            .collect();
        transaction.execute_typed(
            "insert into locations (name) select unnest($1) on conflict (name) do nothing",
            &[(&missing, Type::TEXT_ARRAY)],
        )?;
    }
    Ok(ids)
}
