//! Sites in the table `websites`: a few columns of their own, every other field in `settings`.

use serde_json::{Map, Value};

use super::{Site, SiteDefaults, SiteProblem, SiteProblems, VerdictRule};

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
/// stays out, so that it follows `CHECK_*` later too. Only how a site is judged is filled in, because
/// it is the database that judges, which knows no `CHECK_*`. Credentials are not stored: a site names
/// where they are.
///
/// # Errors
/// Everything that is wrong with the list, or else every credential that is written out in it.
pub fn rows_of_list(text: &str, defaults: &SiteDefaults) -> Result<Vec<Row>, SiteProblems> {
    let rows = super::list::parse_with(text, defaults, row_of)?;
    let mut problems = SiteProblems::default();
    for (row, position) in rows.iter().zip(1..) {
        for field in literal_credentials(row) {
            problems.add(SiteProblem {
                position,
                site: row.name.clone(),
                text: match field.as_str() {
                    "url" => r#"holds a user name or password, which the database does not keep; use basic_auth with {"env": "SITE_SECRET_…"} or {"file": "name"}"#,
                    _ => r#"is written out, which the database does not keep; use {"env": "SITE_SECRET_…"} or {"file": "name"}"#,
                }
                .to_owned(),
                field,
            });
        }
    }
    if problems.is_empty() {
        Ok(rows)
    } else {
        Err(problems)
    }
}

/// Parts of header names that tell of a credential, as the table's constraint
/// `settings_hold_no_credentials` has them.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "api-key",
    "apikey",
];

/// The fields that hold a credential itself rather than where it is.
fn literal_credentials(row: &Row) -> Vec<String> {
    let has_login = |text: &str| {
        url::Url::parse(text)
            .is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
    };
    let mut found = Vec::new();
    if has_login(&row.url) {
        found.push("url".to_owned());
    }
    let Some(Value::Object(settings)) = &row.settings else {
        return found;
    };
    if settings.get("bearer_token").is_some_and(Value::is_string) {
        found.push("bearer_token".to_owned());
    }
    let password = settings
        .get("basic_auth")
        .and_then(|auth| auth.get("password"));
    if password.is_some_and(Value::is_string) {
        found.push("basic_auth.password".to_owned());
    }
    let proxy = settings.get("proxy").and_then(Value::as_str);
    if proxy.is_some_and(has_login) {
        found.push("proxy".to_owned());
    }
    if let Some(Value::Object(headers)) = settings.get("headers") {
        found.extend(headers.iter().filter_map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let tells = SECRET_HEADERS.iter().any(|part| lower.contains(part));
            (tells && value.is_string()).then(|| format!("headers.{name}"))
        }));
    }
    found
}

fn row_of(site: &Site, mut fields: Map<String, Value>) -> Row {
    let regex = fields.remove("regex");
    let interval = fields
        .remove("interval")
        .is_some_and(|value| !value.is_null());
    let labels = fields.remove("labels").filter(|labels| !labels.is_null());
    // The URL as it was written.
    let url = match fields.remove("url") {
        Some(Value::String(url)) => url,
        _ => site.url.to_string(),
    };
    fields.remove("name");
    fields.remove("enabled");
    let (rule, usual) = (&site.verdict, VerdictRule::default());
    for (name, text, is_usual) in [
        (
            "confirm",
            rule.confirm.to_string(),
            rule.confirm == usual.confirm,
        ),
        (
            "recover",
            rule.recover.to_string(),
            rule.recover == usual.recover,
        ),
        ("agree", rule.agree.to_string(), rule.agree == usual.agree),
    ] {
        if is_usual {
            fields.remove(name);
        } else {
            fields.insert(name.to_owned(), text.into());
        }
    }
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
