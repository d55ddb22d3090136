//! Aiven's sink, into an index of OpenSearch: `tests/run.sh connect::indexed`, for who has the sink. It is
//! not on Maven Central, and `tests/run.sh connect` leaves this out.

use std::env;
use std::path::PathBuf;

use serde_json::Value;
use sitewatch_tests::connect::Connect;
use sitewatch_tests::opensearch::OpenSearch;

use super::{NO_EVENT, NO_JSON, Topic};

const SINK: &str = "SITEWATCH_OPENSEARCH_CONNECTOR";

#[test]
fn a_check_is_one_document_also_when_the_topic_is_read_again() {
    let sink = env::var_os(SINK).map(PathBuf::from);
    let sink = sink.unwrap_or_else(|| {
        panic!(
            "{SINK} has to name the directory of an unpacked release of github.com/Aiven-Open/opensearch-connector-for-apache-kafka"
        )
    });
    let topic = Topic::new();
    let expected: Vec<(String, Value)> = topic
        .events()
        .into_iter()
        .map(|event| (event["id"].as_str().unwrap().to_owned(), event))
        .collect();
    let opensearch = OpenSearch::start();
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("password"), "anything").unwrap();
    let recipe = topic.recipe(
        "opensearch.json",
        &[
            ("connection.url", &opensearch.url()),
            (
                "connection.password",
                &format!("${{directory:{}:password}}", secrets.path().display()),
            ),
        ],
    );
    for _ in 0..2 {
        let connect = Connect::start_with(topic.kafka, &sink);
        connect.put("checks", &recipe);
        topic.is_read(&connect, "checks");
        assert_eq!(opensearch.documents(&topic.name), expected);
        connect.stop();
        topic.kafka.forget_group("connect-checks");
    }
    let refused = topic.kafka.consume_all(&topic.dead_letters());
    let refused: Vec<String> = refused.iter().map(|record| record.text()).collect();
    assert_eq!(refused, [NO_JSON, NO_EVENT].repeat(2));
}
