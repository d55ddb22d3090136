//! The topic as others read it: the time, the headers and the key of each message.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sitewatch::event::{CheckEvent, SCHEMA, TYPE};
use sitewatch_kafka::Client;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::kafka::{Kafka, Record, Version};
use sitewatch_tests::websites::Website;
use sitewatch_tests::{asyncapi, python, shared};

use super::publishing::{NOWHERE, sites, to_kafka};
use crate::documents::root;
use crate::kafka::PAIRS;
use crate::notify::judge;
use crate::support::{lines, unique, up};

/// What a probe has to be told to use a client.
fn with(client: Client, run: Run) -> Run {
    let name = match client {
        Client::Rdkafka => "rdkafka",
        Client::Kafka => "kafka",
    };
    run.var("KAFKA_CLIENT", name)
}

fn event(record: &Record) -> CheckEvent<'_> {
    CheckEvent::decode(record.payload.as_deref().unwrap()).unwrap()
}

#[test]
fn a_message_has_the_time_of_its_check_however_late_it_is_sent() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = unique("create-time");
        kafka.create_topic(&topic, 2);
        let website = Website::up("x");
        let spool = tempfile::tempdir().unwrap();
        for (brokers, count, code) in [(NOWHERE, 20, 75), (&kafka.bootstrap(), 5, 0)] {
            with(client, to_kafka(brokers, &topic, &sites(&website, count)))
                .var("PROBE_SPOOL_DIR", spool.path())
                .run()
                .exits(code);
        }

        let records = kafka.consume_all(&topic);
        assert_eq!(records.len(), 25);
        for record in &records {
            let expected = match client {
                Client::Rdkafka => Some(event(record).checked_at.as_millisecond()),
                Client::Kafka => None,
            };
            assert_eq!(record.timestamp_ms, expected, "{client:?} on {version:?}");
        }
    }
}

/// Sends results of other ages from a spool, and one of the run's own; what became of their times.
fn aged(
    kafka: &Kafka,
    topic: &str,
    ages_s: &[i64],
) -> (Finished, BTreeMap<String, SignedDuration>) {
    let spool = tempfile::tempdir().unwrap();
    let results: Vec<CheckEvent<'_>> = ages_s
        .iter()
        .map(|age| up(&age.to_string(), *age))
        .collect();
    let name = format!("{}.jsonl", uuid::Uuid::now_v7());
    fs::write(spool.path().join(name), lines(&results)).unwrap();
    let website = Website::up("x");
    let finished = to_kafka(&kafka.bootstrap(), topic, &sites(&website, 1))
        .var("PROBE_SPOOL_DIR", spool.path())
        .run()
        .exits(0);
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
    let records = kafka.consume_all(topic);
    assert_eq!(records.len(), ages_s.len() + 1);
    let moved = records.iter().map(|record| {
        let event = event(record);
        let time = Timestamp::from_millisecond(record.timestamp_ms.unwrap()).unwrap();
        let whole = event.checked_at.as_millisecond();
        let checked_at = Timestamp::from_millisecond(whole).unwrap();
        (event.site.to_string(), time.duration_since(checked_at))
    });
    (finished, moved.collect())
}

#[test]
fn what_waited_so_long_that_kafka_would_delete_it_has_the_time_of_sending() {
    const HOUR: i64 = 3_600;
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        let topic = unique("old");
        kafka.create_topic(&topic, 1);
        let (_, moved) = aged(
            kafka,
            &topic,
            &[300 * HOUR, 25 * HOUR, 23 * HOUR, -HOUR / 2],
        );
        for (site, hours) in [
            ("1080000", 300),
            ("90000", 25),
            ("82800", 0),
            ("-1800", 0),
            ("site-0", 0),
        ] {
            assert!(moved[site].as_hours() == hours, "{site}: {moved:?}");
        }
        assert!(
            moved["82800"].is_zero() && moved["site-0"].is_zero(),
            "{moved:?}"
        );
        assert!(moved["-1800"].as_mins() <= -29, "{moved:?}");
    }
}

#[test]
fn a_time_that_the_broker_does_not_take_costs_neither_the_message_nor_its_neighbours_theirs() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        let topic = unique("refused-time");
        let limits = [("message.timestamp.before.max.ms", "3600000")];
        kafka.create_topic_with(&topic, 1, &limits);
        let (finished, moved) = aged(kafka, &topic, &[600, 7_200, 7_300, 900]);
        finished.logs("INFO  probe: 1 check: 1 up, 0 down, 4 sent from the spool\n");
        for site in ["600", "900", "site-0"] {
            assert!(moved[site].is_zero(), "{site}: {moved:?}");
        }
        for site in ["7200", "7300"] {
            assert!(moved[site].as_mins() >= 119, "{site}: {moved:?}");
        }
    }
}

#[test]
fn a_message_is_an_event_of_cloudevents() {
    for (client, version) in PAIRS {
        let kafka = shared::kafka(version);
        let topic = unique("cloudevents");
        kafka.create_topic(&topic, 1);
        let website = Website::up("x");
        with(
            client,
            to_kafka(&kafka.bootstrap(), &topic, &sites(&website, 1)),
        )
        .var("PROBE_LOCATION", "Zürich/1")
        .run()
        .exits(0);
        let records = kafka.consume_all(&topic);
        let event = event(&records[0]);
        let expected: Vec<(String, Vec<u8>)> = [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_id", &event.id.to_string()),
            ("ce_source", "/sitewatch/probe/Z%C3%BCrich%2F1"),
            ("ce_type", "io.github.sitewatch.check.v1"),
            ("ce_subject", "site-0"),
            ("ce_time", &format!("{:.6}", event.checked_at)),
            (
                "ce_dataschema",
                "https://github.com/sitewatch/sitewatch/raw/main/shared/src/event/event.schema.json",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .into();
        match client {
            Client::Rdkafka => assert_eq!(records[0].headers, expected),
            Client::Kafka => assert_eq!(records[0].headers, []),
        }
    }
}

fn document() -> PathBuf {
    root().join("shared/src/event/asyncapi.json")
}

#[test]
fn the_description_of_the_topic_is_one_of_asyncapi() {
    let text = fs::read(document()).unwrap();
    judge(
        &asyncapi::schema(),
        &[serde_json::from_slice(&text).unwrap()],
    );
}

#[test]
fn who_has_the_description_of_the_topic_can_read_it() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("described");
    kafka.create_topic(&topic, 2);
    let website = Website::up("x");
    to_kafka(&kafka.bootstrap(), &topic, &sites(&website, 20))
        .run()
        .exits(0);
    let read = Run::program(python::interpreter())
        .arg(root().join("tests/e2e/probe/reader.py"))
        .arg(kafka.bootstrap())
        .arg(document())
        .arg(&topic)
        .run()
        .exits(0);
    let mut read: Vec<Value> = read
        .stdout
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    read.sort_by_key(|event| event["id"].to_string());
    let mut expected: Vec<Value> = Vec::new();
    for record in kafka.consume_all(&topic) {
        let event = event(&record);
        let data: Value = record.text().parse().unwrap();
        expected.push(json!({
            "timestamp": event.checked_at.as_millisecond(),
            "key": event.site,
            "id": event.id,
            "source": format!("/sitewatch/probe/{}", event.location),
            "type": TYPE,
            "subject": event.site,
            "time": event.checked_at.as_microsecond() as f64 / 1e6,
            "schema": SCHEMA,
            "data": data,
        }));
    }
    expected.sort_by_key(|event| event["id"].to_string());
    assert_eq!(read.len(), 20);
    assert_eq!(read, expected);
}

/// A message as people look at it: time, headers with `is` between name and value, key, value.
fn shown(record: &Record, time: &str, is: char) -> String {
    let event = event(record);
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", event.id.to_string()),
        ("ce_source", format!("/sitewatch/probe/{}", event.location)),
        ("ce_type", TYPE.to_owned()),
        ("ce_subject", event.site.to_string()),
        ("ce_time", format!("{:.6}", event.checked_at)),
        ("ce_dataschema", SCHEMA.to_owned()),
    ]
    .map(|(name, value)| format!("{name}{is}{value}"))
    .join(",");
    format!(
        "{time}{}\t{headers}\t{}\t{}\n",
        event.checked_at.as_millisecond(),
        event.site,
        record.text()
    )
}

/// A topic with three checks.
fn watched(kafka: &Kafka) -> String {
    let topic = unique("shown");
    kafka.create_topic(&topic, 1);
    let website = Website::up("x");
    to_kafka(&kafka.bootstrap(), &topic, &sites(&website, 3))
        .run()
        .exits(0);
    topic
}

#[test]
fn kafkas_own_tool_shows_what_a_message_is() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        let topic = watched(kafka);
        let mut arguments = vec!["--topic", &topic, "--from-beginning", "--max-messages", "3"];
        let bootstrap = kafka.bootstrap();
        arguments.extend(["--bootstrap-server", &bootstrap]);
        for shown in [
            "print.timestamp=true",
            "print.headers=true",
            "print.key=true",
        ] {
            arguments.extend(["--property", shown]);
        }
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let records = kafka.consume_all(&topic);
        let expected = records.iter().map(|it| shown(it, "CreateTime:", ':'));
        kafka
            .tool(class, &arguments)
            .exits(0)
            .stdout_is(&expected.collect::<String>());
    }
}

#[test]
fn kcat_shows_what_a_message_is() {
    for version in Version::ALL {
        let kafka = shared::kafka(version);
        let topic = watched(kafka);
        let arguments = ["-C", "-e", "-q", "-f", r"%T\t%h\t%k\t%s\n", "-t", &topic];
        let records = kafka.consume_all(&topic);
        let expected = records.iter().map(|it| shown(it, "", '='));
        arguments
            .iter()
            .fold(Run::program("kcat"), Run::arg)
            .arg("-b")
            .arg(kafka.bootstrap())
            .run()
            .exits(0)
            .stdout_is(&expected.collect::<String>());
    }
}
