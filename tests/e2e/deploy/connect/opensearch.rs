//! What of OpenSearch's recipe is ours: which key a record has when it comes to the sink. Aiven's sink,
//! which makes that the document's id, is not on Maven Central, so here a table stands for the index.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use sitewatch_tests::connect::Connect;

use super::postgresql::Target;
use super::{SITES, Topic};
use crate::documents::root;

/// The recipe of a table whose primary key is the record's, with these transformations.
fn keyed(topic: &Topic, target: &Target, table: &str, transformations: &Value) -> Value {
    let mut recipe = target.recipe(topic);
    let settings = recipe.as_object_mut().unwrap();
    for (key, value) in transformations.as_object().unwrap() {
        if key.starts_with("transforms") || key.starts_with("predicates") {
            settings.insert(key.clone(), value.clone());
        }
    }
    let names = settings["transforms"].as_str().unwrap();
    // Debezium's sink wants a name for what the key is.
    let names = format!("{names},named");
    for (key, value) in [
        ("transforms", names.as_str()),
        (
            "transforms.named.type",
            "org.apache.kafka.connect.transforms.HoistField$Key",
        ),
        ("transforms.named.field", "document"),
        ("collection.name.format", table),
        ("primary.key.mode", "record_key"),
        ("primary.key.fields", "document"),
    ] {
        settings.insert(key.to_owned(), json!(value));
    }
    recipe
}

#[test]
fn a_document_has_the_id_of_its_check_and_with_the_key_as_it_is_there_is_one_of_each_site() {
    let topic = Topic::new();
    let target = Target::new();
    let recipe = fs::read_to_string(root().join("k8s/connect/opensearch.json")).unwrap();
    let recipe = keyed(&topic, &target, "documents", &recipe.parse().unwrap());
    let trap = keyed(&topic, &target, "trap", &json!({}));
    let connect = Connect::start(topic.kafka);
    for (name, recipe) in [("documents", recipe), ("trap", trap)] {
        connect.put(name, &recipe);
        topic.is_read(&connect, name);
    }
    let keys = |table: &str| -> BTreeSet<String> {
        let query = format!("select document::text from {table}");
        let rows = target.database.client().query(&query, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let ids: BTreeSet<String> = topic
        .events()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys("documents"), ids);
    assert_eq!(keys("trap").len(), SITES);
    connect.stop();
}
