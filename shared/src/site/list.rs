//! A list of sites: JSON, or plain URLs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::{Site, SiteDefaults, SiteProblem, SiteProblems, json, parse};
use crate::event::MAX_NAME;

/// Reads a list: JSON (`[…]` or `{"sites": […]}`, each element an object or a URL), or URLs
/// separated by spaces, commas or line ends.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_list(text: &str, defaults: &SiteDefaults) -> Result<Vec<Arc<Site>>, SiteProblems> {
    let mut reading = Reading::new(defaults);
    each(text, |element| reading.add(element))?;
    reading.finish()
}

/// As [`parse_list`], with something made of each site and the fields it was read from.
pub(super) fn parse_with<T>(
    text: &str,
    defaults: &SiteDefaults,
    make: impl Fn(&Site, Map<String, Value>) -> T,
) -> Result<Vec<T>, SiteProblems> {
    let mut reading = Reading::new(defaults);
    let mut made = Vec::new();
    each(text, |element| {
        let fields = object(element.clone()).unwrap_or_default();
        let before = reading.sites.len();
        reading.add(element);
        if reading.sites.len() > before {
            made.extend(reading.sites.last().map(|site| make(site, fields)));
        }
    })?;
    reading.finish().map(|_| made)
}

fn each(text: &str, mut each: impl FnMut(Value)) -> Result<(), SiteProblems> {
    if text.trim_start().starts_with(['[', '{']) {
        return json::each_element(text, each).map_err(SiteProblems::of_list);
    }
    for url in text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|url| !url.is_empty())
    {
        each(Value::String(url.to_owned()));
    }
    Ok(())
}

/// Reads sites from JSON objects, such as [`fields_of_row`](super::fields_of_row) makes them: those
/// that can be checked, and everything that is wrong with the others.
#[must_use]
pub fn parse_objects(
    objects: impl IntoIterator<Item = Map<String, Value>>,
    defaults: &SiteDefaults,
) -> (Vec<Arc<Site>>, SiteProblems) {
    let mut reading = Reading::new(defaults);
    for object in objects {
        reading.add(Value::Object(object));
    }
    (reading.sites, reading.problems)
}

/// The name of a site that has none: host, port and path of its URL. The same on every machine and in
/// every release, since the name is what a site's history hangs on.
///
/// A query may hold what is nobody's business, such as a token, and names are shown everywhere: of
/// one there is a hash in the name, which keeps sites that differ by it apart.
#[must_use]
pub fn default_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    let name = format!("{host}{port}{path}");
    let whole = match url.query() {
        None if name.chars().count() <= MAX_NAME => return name,
        // Long URLs differ at their ends more often than not: the hash keeps them apart as well.
        None => name.clone(),
        Some(query) => format!("{name}?{query}"),
    };
    let hash = crate::site::stable_hash(&whole);
    let mut short: String = name.chars().take(MAX_NAME - 17).collect();
    short.push_str(&format!("~{hash:016x}"));
    short
}

struct Reading<'a> {
    defaults: &'a SiteDefaults,
    sites: Vec<Arc<Site>>,
    /// Name → position in the list.
    names: HashMap<String, usize>,
    position: usize,
    problems: SiteProblems,
}

impl<'a> Reading<'a> {
    fn new(defaults: &'a SiteDefaults) -> Self {
        Self {
            defaults,
            sites: Vec::new(),
            names: HashMap::new(),
            position: 0,
            problems: SiteProblems::default(),
        }
    }

    fn add(&mut self, element: Value) {
        self.position += 1;
        let object = match object(element) {
            Ok(object) => object,
            Err(text) => {
                self.problem(String::new(), String::new(), text);
                return;
            }
        };
        let label = label(&object);
        let given_name = object
            .get("name")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let parsed = parse::site(object, self.defaults);
        // Also of sites that have other problems: all of them are told at once.
        let name = match &parsed {
            Ok(site) => Some(site.name.clone()),
            Err(_) => given_name,
        };
        if let Some(name) = name {
            match self.names.entry(name) {
                Entry::Occupied(first) => {
                    let text = format!(
                        "is also the name of site {}; give each site a name of its own",
                        first.get()
                    );
                    self.problem(label.clone(), "name".to_owned(), text);
                }
                Entry::Vacant(free) => {
                    free.insert(self.position);
                }
            }
        }
        match parsed {
            Ok(site) => self.sites.push(Arc::new(site)),
            Err(problems) => {
                for (field, text) in problems {
                    self.problem(label.clone(), field, text);
                }
            }
        }
    }

    fn problem(&mut self, site: String, field: String, text: String) {
        self.problems.add(SiteProblem {
            position: self.position,
            site,
            field,
            text,
        });
    }

    fn finish(self) -> Result<Vec<Arc<Site>>, SiteProblems> {
        if self.problems.is_empty() {
            Ok(self.sites)
        } else {
            Err(self.problems)
        }
    }
}

fn object(element: Value) -> Result<Map<String, Value>, String> {
    let mut object = match element {
        Value::Object(object) => object,
        Value::String(url) => Map::from_iter([("url".to_owned(), Value::String(url))]),
        other => {
            return Err(format!(
                "is {}; wants an object or a URL",
                super::fields::kind(&other)
            ));
        }
    };
    resolve_aliases(&mut object);
    Ok(object)
}

/// Other names that fields are known by in the tables and in the systems this one replaces.
fn resolve_aliases(object: &mut Map<String, Value>) {
    for (alias, name) in [("check_interval", "interval"), ("up_regex", "regex")] {
        if !object.contains_key(name)
            && let Some(value) = object.remove(alias)
        {
            object.insert(name.to_owned(), value);
        }
    }
}

/// What to call a site in a problem: its name, else its URL when no password can be in it.
fn label(object: &Map<String, Value>) -> String {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let label = text("name")
        .or_else(|| text("url").filter(|url| !url.contains('@')))
        .unwrap_or_default();
    label.chars().filter(|c| !c.is_control()).take(80).collect()
}
