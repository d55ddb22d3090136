//! Debezium's JDBC sink, into a table of its own in PostgreSQL.

use jiff::Timestamp;
use serde_json::{Value, json};
use sitewatch_tests::connect::Connect;
use sitewatch_tests::postgres::{Database, PASSWORD, USER};
use sitewatch_tests::shared;
use tempfile::TempDir;

use super::Topic;

/// A database that a recipe writes to.
pub(super) struct Target {
    pub(super) database: Database,
    /// Holds the file `password`.
    secrets: TempDir,
}

impl Target {
    pub(super) fn new() -> Self {
        let database = shared::postgres().create_database("connect");
        let mut client = database.client();
        client.batch_execute("create extension hstore").unwrap();
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join("password"), PASSWORD).unwrap();
        Self { database, secrets }
    }

    pub(super) fn recipe(&self, topic: &Topic) -> Value {
        let port = shared::postgres().port();
        let name = self.database.name();
        let secrets = self.secrets.path().display();
        topic.recipe(
            "postgresql.json",
            &[
                (
                    "connection.url",
                    &format!("jdbc:postgresql://127.0.0.1:{port}/{name}"),
                ),
                ("connection.username", USER),
                (
                    "connection.password",
                    &format!("${{directory:{secrets}:password}}"),
                ),
            ],
        )
    }

    /// The table as JSON, in the order of ids.
    fn rows(&self) -> Vec<Value> {
        const ROWS: &str = "select (to_jsonb(checks) || \
                            jsonb_build_object('labels', hstore_to_jsonb(labels)))::text \
                            from connect_checks checks order by id";
        let rows = self.database.client().query(ROWS, &[]).unwrap();
        let rows = rows.iter().map(|row| row.get::<_, String>(0));
        rows.map(|text| text.parse().unwrap()).collect()
    }
}

/// The checks of a topic, with times as PostgreSQL writes them.
fn expected(topic: &Topic) -> Vec<Value> {
    let mut events = topic.events();
    for event in &mut events {
        let checked_at: Timestamp = event["checked_at"].as_str().unwrap().parse().unwrap();
        let text = checked_at.to_string();
        event["checked_at"] = json!(text.replace('Z', "+00:00"));
    }
    events
}

fn without_clock(mut recipe: Value) -> Value {
    let content = &mut recipe["value.converter.schema.content"];
    let mut schema: Value = content.as_str().unwrap().parse().unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    fields.retain(|field| field["field"] != "clock");
    *content = json!(schema.to_string());
    recipe
}

#[test]
fn a_check_is_one_row_also_when_the_topic_is_read_again_with_a_field_more() {
    let topic = Topic::new();
    let target = Target::new();
    let recipe = target.recipe(&topic);
    let connect = Connect::start(topic.kafka);
    connect.put("checks", &without_clock(recipe.clone()));
    topic.is_read(&connect, "checks");
    let mut known = expected(&topic);
    for event in &mut known {
        event.as_object_mut().unwrap().remove("clock");
    }
    assert_eq!(target.rows(), known);
    let refused = topic.kafka.consume_all(&topic.dead_letters());
    let refused: Vec<String> = refused.iter().map(|record| record.text()).collect();
    assert_eq!(refused, [super::NO_JSON, super::NO_EVENT]);
    connect.stop();

    topic.kafka.forget_group("connect-checks");
    let connect = Connect::start(topic.kafka);
    connect.put("checks", &recipe);
    topic.is_read(&connect, "checks");
    assert_eq!(target.rows(), expected(&topic));
    connect.stop();
}
