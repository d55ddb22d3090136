//! What the recipes of `k8s/connect` say of an event's fields is what an event has.
//!
//! `SITEWATCH_UPDATE=1 cargo test -p sitewatch-tests connect_schema` writes it anew.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sitewatch::event;

use crate::documents::{keep, root};

/// Where a recipe has the schema, on a line of its own.
const KEY: &str = "  \"value.converter.schema.content\": ";

/// The recipes, by their file names.
fn recipes() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root().join("k8s/connect"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// An event as Connect's types have it: integers have a sign there, and a time and a UUID are texts
/// with a name, which Debezium's sinks know.
fn schema() -> Value {
    let event = event::schema().to_value();
    let required = event["required"].as_array().unwrap();
    let fields: Vec<Value> = event["properties"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, property)| {
            let nullable = property["type"].is_array();
            let optional = nullable || !required.contains(&json!(name));
            let mut field = kind(name, property);
            field["field"] = json!(name);
            field["optional"] = json!(optional);
            field
        })
        .collect();
    json!({"type": "struct", "optional": false, "fields": fields})
}

fn kind(name: &str, property: &Value) -> Value {
    if property["$ref"] == "#/$defs/Outcome" {
        return json!({"type": "string"});
    }
    let kind = property["type"].get(0).unwrap_or(&property["type"]);
    match (kind.as_str().unwrap(), property["format"].as_str()) {
        ("boolean", None) => json!({"type": "boolean"}),
        ("integer", Some("uint16")) => json!({"type": "int32"}),
        ("integer", Some("uint32" | "uint64")) => json!({"type": "int64"}),
        ("string", None | Some("ip")) => json!({"type": "string"}),
        ("string", Some("date-time")) => {
            json!({"type": "string", "name": "io.debezium.time.ZonedTimestamp", "version": 1})
        }
        ("string", Some("uuid")) => {
            json!({"type": "string", "name": "io.debezium.data.Uuid", "version": 1})
        }
        ("object", None) => json!({
            "type": "map",
            "keys": {"type": "string", "optional": false},
            "values": {"type": "string", "optional": false},
        }),
        other => panic!("{name}: what is {other:?} in Connect?"),
    }
}

#[test]
fn every_recipe_with_a_schema_has_the_fields_of_an_event() {
    let line = format!("{KEY}{},", Value::from(schema().to_string()));
    let mut with_schema = 0;
    for path in recipes() {
        let found = fs::read_to_string(&path).unwrap();
        let expected: String = found
            .lines()
            .map(|it| if it.starts_with(KEY) { &line } else { it })
            .flat_map(|it| [it, "\n"])
            .collect();
        with_schema += expected.matches(KEY).count();
        keep(&path, &found, &expected);
    }
    assert!(with_schema > 0);
}
