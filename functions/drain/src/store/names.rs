//! Names of sites and locations → the ids that rows hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use postgres::Transaction;
use postgres::types::Type;

use super::commit::Keyed;
use super::limits::{Limits, Taken};
use crate::decode::{Location, Row, Site};
use crate::settings::MaxNames;

/// The ids found or made in one transaction, not yet known to be committed.
pub(super) struct Names {
    sites: HashMap<*const Site, (Arc<Site>, i32)>,
    locations: HashMap<*const Location, (Arc<Location>, i16)>,
    /// Why a name got no id.
    refused: HashMap<String, String>,
    taken: Taken,
}

impl Names {
    pub(super) fn new(limits: &Arc<Limits>) -> Self {
        Self {
            sites: HashMap::new(),
            locations: HashMap::new(),
            refused: HashMap::new(),
            taken: Taken::nothing(limits),
        }
    }

    /// Finds the ids of the rows' sites and locations, or adds them as far as there may be more.
    pub(super) fn resolve(
        &mut self,
        transaction: &mut Transaction<'_>,
        max: &MaxNames,
        rows: &[&Row],
    ) -> Result<(), postgres::Error> {
        let mut sites: BTreeMap<&str, Vec<&Arc<Site>>> = BTreeMap::new();
        let mut locations: BTreeMap<&str, &Arc<Location>> = BTreeMap::new();
        for &row in rows {
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
            let ids = self.find_or_make_sites(transaction, max, &sites)?;
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
            let ids = self.find_or_make_locations(transaction, max, &locations)?;
            for (name, location) in locations {
                if let Some(id) = ids.get(name) {
                    self.locations
                        .insert(Arc::as_ptr(location), (Arc::clone(location), *id));
                }
            }
        }
        Ok(())
    }

    /// The rows with their ids; those without are left out.
    pub(super) fn keyed<'a>(&self, rows: &[&'a Row]) -> Vec<Keyed<'a>> {
        rows.iter()
            .enumerate()
            .filter_map(|(position, &row)| {
                Some(Keyed {
                    position,
                    website_id: self.site(row)?,
                    location_id: self.location(row)?,
                    checked_at_us: row.checked_at.as_microsecond(),
                    row,
                })
            })
            .collect()
    }

    /// Rows without an id, by position, and why.
    pub(super) fn refused(&self, rows: &[&Row]) -> Vec<(usize, String)> {
        if self.refused.is_empty() {
            return Vec::new();
        }
        rows.iter()
            .enumerate()
            .filter_map(|(position, row)| {
                let kind = match (self.site(row), self.location(row)) {
                    (None, _) => site_key(&row.site.name),
                    (_, None) => location_key(&row.location.name),
                    (Some(_), Some(_)) => return None,
                };
                Some((position, self.refused.get(&kind)?.clone()))
            })
            .collect()
    }

    fn site(&self, row: &Row) -> Option<i32> {
        let known = row.site.id.get().copied();
        known.or_else(|| Some(self.sites.get(&Arc::as_ptr(&row.site))?.1))
    }

    fn location(&self, row: &Row) -> Option<i16> {
        let known = row.location.id.get().copied();
        known.or_else(|| Some(self.locations.get(&Arc::as_ptr(&row.location))?.1))
    }

    /// Keeps the ids for the rest of the run, now that they are committed.
    pub(super) fn remember(self) {
        self.taken.keep();
        for (site, id) in self.sites.into_values() {
            // Another worker may have found the same id first.
            site.id.get_or_init(|| id);
        }
        for (location, id) in self.locations.into_values() {
            location.id.get_or_init(|| id);
        }
    }

    /// Not by `on conflict` alone: it would use up an id for each name that is there.
    fn find_or_make_sites(
        &mut self,
        transaction: &mut Transaction<'_>,
        max: &MaxNames,
        sites: &BTreeMap<&str, Vec<&Arc<Site>>>,
    ) -> Result<HashMap<String, i32>, postgres::Error> {
        let names: Vec<&str> = sites.keys().copied().collect();
        let mut ids: HashMap<String, i32> = transaction
            .query_typed(
                "select name, id from websites where name = any($1)",
                &[(&names, Type::TEXT_ARRAY)],
            )?
            .into_iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let (known, mut missing): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| ids.contains_key(**name));
        if !known.is_empty() {
            let (urls, labels) = newest(sites, &known);
            transaction.query_typed(
                "select follow_events($1, $2, $3)",
                &[
                    (&known, Type::TEXT_ARRAY),
                    (&urls, Type::TEXT_ARRAY),
                    (&labels, Type::TEXT_ARRAY),
                ],
            )?;
        }
        if missing.is_empty() {
            return Ok(ids);
        }
        let room = self.taken.sites(missing.len());
        for name in missing.split_off(room) {
            self.refused.insert(
                site_key(name),
                format!(
                    "site {name:?} is not known, and a run adds no more than DRAIN_MAX_NEW_SITES={}",
                    max.new_sites
                ),
            );
        }
        if missing.is_empty() {
            return Ok(ids);
        }
        let (urls, labels) = newest(sites, &missing);
        let most = i32::try_from(max.sites).unwrap_or(i32::MAX);
        for row in transaction.query_typed(
            "select name, id from make_websites($1, $2, $3, $4)",
            &[
                (&missing, Type::TEXT_ARRAY),
                (&urls, Type::TEXT_ARRAY),
                (&labels, Type::TEXT_ARRAY),
                (&most, Type::INT4),
            ],
        )? {
            ids.insert(row.get(0), row.get(1));
        }
        for name in missing.iter().filter(|name| !ids.contains_key(**name)) {
            self.refused.insert(
                site_key(name),
                format!(
                    "site {name:?} is not known, and there are DRAIN_MAX_SITES={} that only events named",
                    max.sites
                ),
            );
        }
        Ok(ids)
    }

    fn find_or_make_locations(
        &mut self,
        transaction: &mut Transaction<'_>,
        max: &MaxNames,
        locations: &BTreeMap<&str, &Arc<Location>>,
    ) -> Result<HashMap<String, i16>, postgres::Error> {
        let names: Vec<&str> = locations.keys().copied().collect();
        let mut ids: HashMap<String, i16> = transaction
            .query_typed(
                "select name, id from locations where name = any($1)",
                &[(&names, Type::TEXT_ARRAY)],
            )?
            .into_iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let mut missing: Vec<&str> = names
            .into_iter()
            .filter(|name| !ids.contains_key(*name))
            .collect();
        let room = self.taken.locations(missing.len());
        for name in missing.split_off(room) {
            self.refused.insert(
                location_key(name),
                format!(
                    "location {name:?} is not known, and a run adds no more than DRAIN_MAX_NEW_LOCATIONS={}",
                    max.new_locations
                ),
            );
        }
        if missing.is_empty() {
            return Ok(ids);
        }
        let most = i32::try_from(max.locations).unwrap_or(i32::MAX);
        for row in transaction.query_typed(
            "select name, id from make_locations($1, $2)",
            &[(&missing, Type::TEXT_ARRAY), (&most, Type::INT4)],
        )? {
            ids.insert(row.get(0), row.get(1));
        }
        for name in missing.iter().filter(|name| !ids.contains_key(**name)) {
            self.refused.insert(
                location_key(name),
                format!(
                    "location {name:?} is not known, and there are DRAIN_MAX_LOCATIONS={} already",
                    max.locations
                ),
            );
        }
        Ok(ids)
    }
}

fn site_key(name: &str) -> String {
    format!("site {name}")
}

fn location_key(name: &str) -> String {
    format!("location {name}")
}

/// What the newest event said of each of the names: url, and labels as JSON.
fn newest<'a>(
    sites: &BTreeMap<&str, Vec<&'a Arc<Site>>>,
    names: &[&str],
) -> (Vec<&'a str>, Vec<String>) {
    names
        .iter()
        .filter_map(|name| sites[name].last())
        .map(|site| (site.url.as_str(), json(&site.labels)))
        .unzip()
}

fn json(labels: &[(Box<str>, Box<str>)]) -> String {
    let object: serde_json::Map<String, serde_json::Value> = labels
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_ref().into()))
        .collect();
    serde_json::Value::Object(object).to_string()
}
