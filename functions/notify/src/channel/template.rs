//! A webhook's body as its receiver wants it: a file of JSON with `{{name}}` where values go.

use serde_json::Value;

/// A template that was tried.
pub(super) struct Template(String);

impl Template {
    /// Reads it, and fills it with a sample.
    ///
    /// # Errors
    /// When it cannot be read, names what there is not, or gives no JSON.
    pub(super) fn read(path: &str, sample: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("template= names {path:?}, which cannot be read: {error}"))?;
        let template = Self(text);
        template
            .fill(sample)
            .map_err(|why| format!("template= names {path:?}, where {why}"))?;
        Ok(template)
    }

    /// The template with the values of a body. Text is escaped for the quotes that it stands in; all
    /// else is JSON of its own. `{{incidents.0.site}}` reaches into lists and objects.
    ///
    /// # Errors
    /// When it names what there is not, or gives no JSON.
    pub(super) fn fill(&self, body: &str) -> Result<String, String> {
        let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let mut filled = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .ok_or_else(|| "{{ has no }}".to_owned())?;
            let pointer = format!("/{}", name.trim().replace('.', "/"));
            let value = body
                .pointer(&pointer)
                .ok_or_else(|| format!("{:?} is not in the body", name.trim()))?;
            filled.push_str(before);
            match value {
                Value::String(text) => filled.push_str(&escaped(text)),
                other => filled.push_str(&other.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        serde_json::from_str::<serde::de::IgnoredAny>(&filled)
            .map_err(|error| format!("what comes of it is no JSON: {error}"))?;
        Ok(filled)
    }
}

fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_escaped() {
        let body = r#"{"title": "a \"b\"\n", "n": 3, "incidents": [{"site": "shop", "x": null}]}"#;
        for (template, filled) in [
            (r#"{"t": "{{title}}!"}"#, Ok(r#"{"t": "a \"b\"\n!"}"#)),
            (r#"[{{ n }}, "{{incidents.0.site}}"]"#, Ok(r#"[3, "shop"]"#)),
            (r"{{incidents}}", Ok(r#"[{"site":"shop","x":null}]"#)),
            (r#""{{nothing}}""#, Err("\"nothing\" is not in the body")),
            (r#""{{title""#, Err("{{ has no }}")),
        ] {
            let found = Template(template.to_owned()).fill(body);
            assert_eq!(
                found.as_deref().map_err(String::as_str),
                filled,
                "{template}"
            );
        }
        assert!(Template("{{title}}".to_owned()).fill(body).is_err());
    }
}
