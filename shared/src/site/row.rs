//! Sites in the table `websites`: a few columns of their own, every other field in `settings`.

use serde_json::{Map, Value};

use super::{Site, SiteDefaults, SiteProblems};

/// One row of `websites`, as SQL has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// `name`.
    pub name: String,
    /// `url`.
    pub url: String,
    /// `check_interval` in seconds; `None`: `CHECK_INTERVAL`.
    pub check_interval: Option<f64>,
    /// `up_regex`; `None`: the body does not matter.
    pub up_regex: Option<String>,
    /// `enabled`.
    pub enabled: bool,
    /// `labels`, a JSON object; `None`: none.
    pub labels: Option<Value>,
    /// `settings`: every other field, a JSON object; `None`: none.
    pub settings: Option<Value>,
}

/// The row as the object that [`parse_objects`](super::parse_objects) reads. What is in a column
/// of its own wins over the same field in `settings`.
#[must_use]
pub fn fields_of_row(row: Row) -> Map<String, Value> {
    let mut fields = match row.settings {
        Some(Value::Object(settings)) => settings,
        None | Some(Value::Null) => Map::new(),
        // Kept, so that it is told as a field that does not exist.
        Some(other) => Map::from_iter([("settings".to_owned(), other)]),
    };
    fields.insert("name".to_owned(), row.name.into());
    fields.insert("url".to_owned(), row.url.into());
    fields.insert("enabled".to_owned(), row.enabled.into());
    if let Some(interval) = row.check_interval {
        fields.insert("interval".to_owned(), interval.into());
    }
    if let Some(regex) = row.up_regex {
        fields.insert("regex".to_owned(), regex.into());
    }
    if let Some(labels) = row.labels {
        fields.insert("labels".to_owned(), labels);
    }
    fields
}

/// Reads a list as [`parse_list`](super::parse_list) does, to be stored: what the list leaves out
/// stays out, so that it follows `CHECK_*` later too.
///
/// # Errors
/// Everything that is wrong with the list.
pub fn rows_of_list(text: &str, defaults: &SiteDefaults) -> Result<Vec<Row>, SiteProblems> {
    super::list::parse_with(text, defaults, row_of)
}

fn row_of(site: &Site, mut fields: Map<String, Value>) -> Row {
    let regex = fields.remove("regex");
    let interval = fields
        .remove("interval")
        .is_some_and(|value| !value.is_null());
    let labels = fields.remove("labels").filter(|labels| !labels.is_null());
    // The URL as it was written: credentials in it are part of what is to be checked.
    let url = match fields.remove("url") {
        Some(Value::String(url)) => url,
        _ => site.url.to_string(),
    };
    fields.remove("name");
    fields.remove("enabled");
    Row {
        name: site.name.clone(),
        url,
        check_interval: interval.then_some(site.interval.as_secs_f64()),
        up_regex: regex.and_then(|regex| regex.as_str().map(str::to_owned)),
        enabled: site.enabled,
        labels,
        settings: (!fields.is_empty()).then_some(Value::Object(fields)),
    }
}
