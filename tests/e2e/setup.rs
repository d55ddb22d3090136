//! `setup`: the schema, the topic, the list of sites; again and at once.

use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;

use crate::support::{Prepared, last_line, unique};

#[test]
fn everything_is_made_once_and_found_the_second_time() {
    let database = shared::postgres().create_database("setup");
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("setup");
    let setup = || {
        Run::setup()
            .var("DATABASE_URL", database.url())
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
            .var("SETUP_PARTITIONS", "3")
            .var("SITES", "https://a.example https://b.example/x")
            .run()
            .exits(0)
    };
    assert_eq!(
        last_line(&setup().stderr),
        format!("8 migrations applied, 2 sites imported, topic {topic} created (3 partitions)")
    );
    assert_eq!(
        last_line(&setup().stderr),
        format!("schema is up to date, 2 sites imported, topic {topic} is there")
    );
    assert_eq!(kafka.partitions(&topic), 3);
    let sites: i64 = database
        .client()
        .query_one("select count(*) from websites where enabled", &[])
        .unwrap()
        .get(0);
    assert_eq!(sites, 2);

    let delete = Run::setup()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("SETUP_DELETE_TOPIC", "true")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&delete.stderr),
        format!("topic {topic} deleted with everything in it")
    );
}

#[test]
fn several_at_once_make_it_once() {
    let database = shared::postgres().create_database("setup");
    let runs: Vec<_> = (0..4)
        .map(|_| {
            Run::setup()
                .var("DATABASE_URL", database.url())
                .var("SETUP_TOPIC", "false")
                .spawn()
        })
        .collect();
    let said: Vec<String> = runs
        .into_iter()
        .map(|run| last_line(&run.wait().exits(0).stderr))
        .collect();
    assert_eq!(
        said.iter()
            .filter(|line| line.starts_with("8 migrations"))
            .count(),
        1,
        "{said:?}"
    );
}

#[test]
fn websites_are_never_removed() {
    let prepared = Prepared::new("setup");
    let mut client = prepared.client();
    client
        .batch_execute("insert into websites (name, url) values ('a', 'https://a.example')")
        .unwrap();
    for statement in [
        "delete from websites",
        "truncate websites cascade",
        "update websites set id = default",
    ] {
        let error = client.batch_execute(statement).unwrap_err();
        let text = error.as_db_error().expect(statement).message().to_owned();
        assert!(text.contains("never removed"), "{statement}: {text}");
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let prepared = Prepared::new("setup");
    prepared
        .client()
        .batch_execute("insert into refinery_schema_history (version, name) values (999, 'later')")
        .unwrap();
    for run in [
        Run::setup()
            .var("DATABASE_URL", prepared.url())
            .var("SETUP_TOPIC", "false"),
        prepared.drain().var("DRAIN_SOURCE", "stdin").stdin("{}\n"),
        prepared.report(),
    ] {
        run.run()
            .exits(78)
            .stderr_has("the database's schema is at version 999, newer than this release");
    }
    assert_eq!(prepared.count("select count(*) from dead_letters"), 0);
}
