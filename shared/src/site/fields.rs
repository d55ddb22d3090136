//! The fields of one site's JSON object, taken one by one with every problem kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Pattern, SECRET_PREFIX, StatusSet, Text};
use crate::units;
use crate::words::{nearest, shortened};

/// Takes fields from an object; what is left at the end is unknown.
pub(super) struct Fields {
    object: Map<String, Value>,
    problems: Vec<(String, String)>,
}

impl Fields {
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Self {
            object,
            problems: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, field: &str, text: impl Into<String>) {
        self.problems.push((field.to_owned(), text.into()));
    }

    pub(super) fn has_problem(&self, field: &str) -> bool {
        self.problems.iter().any(|(name, _)| name == field)
    }

    /// The problems found, with what was never taken as the last of them.
    pub(super) fn finish(mut self, known: &[&str]) -> Vec<(String, String)> {
        for name in std::mem::take(&mut self.object).keys() {
            let hint = nearest(name, known.iter().copied())
                .map_or_else(String::new, |known| format!("; did you mean {known:?}?"));
            self.problem(name, format!("is not a field of a site{hint}"));
        }
        self.problems
    }

    /// Takes a field and reads it. Null is the same as left out.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        match self.object.remove(name)? {
            Value::Null => None,
            value => match read(value) {
                Ok(value) => Some(value),
                Err(text) => {
                    self.problem(name, text);
                    None
                }
            },
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, string)
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name, |value| match value {
            Value::Bool(value) => Ok(value),
            other => Err(format!("is {}; wants true or false", short(&other))),
        })
    }

    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        self.take(name, |value| duration(&value))
    }

    pub(super) fn size(&mut self, name: &str) -> Option<u64> {
        self.take(name, |value| {
            match &value {
                Value::Number(number) => number.as_u64().ok_or_else(String::new),
                Value::String(text) => units::size(text),
                _ => Err(String::new()),
            }
            .map_err(|why| wants(&value, &why, "a size such as 65536 or \"64KiB\""))
        })
    }

    pub(super) fn count(&mut self, name: &str, most: u16) -> Option<u16> {
        self.take(name, |value| {
            value
                .as_u64()
                .and_then(|number| u16::try_from(number).ok())
                .filter(|number| *number <= most)
                .ok_or_else(|| wants(&value, "", &format!("a whole number from 0 to {most}")))
        })
    }

    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.take(name, |value| {
            string(value).and_then(|text| {
                if text.is_empty() {
                    Err("is empty; wants the path of a PEM file".to_owned())
                } else {
                    Ok(text.into())
                }
            })
        })
    }

    pub(super) fn secret_text(&mut self, name: &str) -> Option<Text> {
        self.take(name, |value| secret_text(&value))
    }

    pub(super) fn status(&mut self, name: &str) -> Option<StatusSet> {
        self.take(name, |value| {
            let text = match &value {
                Value::Array(parts) => parts
                    .iter()
                    .map(plain)
                    .collect::<Option<Vec<_>>>()
                    .map(|parts| parts.join(",")),
                other => plain(other),
            };
            text.ok_or_else(String::new)
                .and_then(|text| StatusSet::parse(&text))
                .map_err(|why| {
                    wants(
                        &value,
                        &why,
                        "statuses such as 200, \"200-299,404\" or [200, \"300-399\"]",
                    )
                })
        })
    }

    /// A text or a number, read as a text.
    pub(super) fn word<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
        form: &str,
    ) -> Option<T> {
        self.take(name, |value| {
            plain(&value)
                .ok_or_else(String::new)
                .and_then(|text| read(&text))
                .map_err(|why| wants(&value, &why, form))
        })
    }

    pub(super) fn pattern(&mut self, name: &str) -> Option<Arc<Pattern>> {
        self.take(name, |value| pattern(&value))
    }

    pub(super) fn patterns(&mut self, name: &str) -> Vec<Arc<Pattern>> {
        self.take(name, |value| match value {
            Value::Array(list) => list.iter().map(pattern).collect(),
            one => pattern(&one).map(|pattern| vec![pattern]),
        })
        .unwrap_or_default()
    }

    /// An object whose values are read one by one; a problem names the key.
    pub(super) fn map<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&str, &Value) -> Result<T, String>,
    ) -> Option<Vec<(String, T)>> {
        let object = self.take(name, |value| match value {
            Value::Object(object) => Ok(object),
            other => Err(format!("is {}; wants an object", kind(&other))),
        })?;
        let mut list = Vec::new();
        for (key, value) in &object {
            match read(key, value) {
                Ok(value) => list.push((key.clone(), value)),
                Err(why) => self.problem(&format!("{name}.{key}"), why),
            }
        }
        Some(list)
    }

    pub(super) fn labels(&mut self) -> BTreeMap<String, String> {
        let labels = self.map("labels", |_, value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            other => Err(format!("is {}; wants text", short(other))),
        });
        labels.unwrap_or_default().into_iter().collect()
    }
}

/// What a value is: a text or a list by its kind alone, because where a login, a URL or a header was
/// meant there may be a secret in it.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

pub(super) fn string(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("is {}; wants text", kind(&other))),
    }
}

pub(super) fn pattern(value: &Value) -> Result<Arc<Pattern>, String> {
    match value {
        Value::String(text) => Pattern::parse(text).map(Arc::new),
        other => Err(format!("is {}; wants a regular expression", short(other))),
    }
}

/// `"text"`, `{"env": "SITE_SECRET_…"}` or `{"file": "name"}`.
pub(super) fn secret_text(value: &Value) -> Result<Text, String> {
    const WANTS: &str = r#"wants text, {"env": "SITE_SECRET_…"} or {"file": "name"}"#;
    match value {
        Value::String(text) => Ok(Text::Literal(text.clone())),
        Value::Object(object) if object.len() == 1 => match object.iter().next() {
            Some((key, Value::String(name))) if key == "env" => {
                if name.starts_with(SECRET_PREFIX) {
                    Ok(Text::Environment(name.clone()))
                } else {
                    Err(format!(
                        "names the variable {name:?}; only those beginning with {SECRET_PREFIX} may be used"
                    ))
                }
            }
            Some((key, Value::String(name))) if key == "file" => {
                if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
                    Err(format!(
                        "names the file {name:?}; wants the name of a file in SITES_SECRETS_DIR, without a path"
                    ))
                } else {
                    Ok(Text::File(name.clone()))
                }
            }
            _ => Err(WANTS.to_owned()),
        },
        _ => Err(WANTS.to_owned()),
    }
}

fn duration(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Number(number) => number
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(String::new),
        Value::String(text) => units::duration(text),
        _ => Err(String::new()),
    }
    .map_err(|why| {
        wants(
            value,
            &why,
            "seconds such as 60, or a duration such as \"500ms\"",
        )
    })
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn wants(value: &Value, why: &str, wants: &str) -> String {
    let why = if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    };
    format!("is {}{why}; wants {wants}", short(value))
}

/// Enough of a value to recognise it.
pub(super) fn short(value: &Value) -> String {
    shortened(&value.to_string(), 60).into_owned()
}
