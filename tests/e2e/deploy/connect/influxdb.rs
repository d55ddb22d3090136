//! Telegraf, from the topic into a measurement of InfluxDB.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};
use sitewatch_tests::command::{Run, Running, Signal};
use sitewatch_tests::{port, telegraf, wait};
use tempfile::TempDir;

use super::Topic;
use crate::documents::root;

/// Debian's InfluxDB, with the database that the recipe writes to.
struct Influx {
    _running: Running,
    port: u16,
    _directory: TempDir,
}

impl Influx {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let port = port::reserve();
        let configuration = format!(
            "reporting-disabled = true\n\
             bind-address = \"127.0.0.1:{}\"\n\
             meta.dir = \"{}\"\n\
             data.dir = \"{}\"\n\
             data.wal-dir = \"{}\"\n\
             http.bind-address = \"127.0.0.1:{port}\"\n",
            port::reserve(),
            path("meta"),
            path("data"),
            path("wal"),
        );
        fs::write(path("influxdb.conf"), configuration).unwrap();
        let running = Run::program("influxd")
            .arg("-config")
            .arg(path("influxdb.conf"))
            .spawn();
        wait::until("InfluxDB answers", wait::SOON, || port::is_open(port));
        let influx = Self {
            _running: running,
            port,
            _directory: directory,
        };
        influx.query("create database checks");
        influx
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn query(&self, query: &str) -> Value {
        let answer = ureq::post(format!("{}/query", self.url())).send_form([
            ("db", "checks"),
            ("epoch", "u"),
            ("q", query),
        ]);
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        text.parse().unwrap()
    }

    /// The points of the measurement in the order of ids. A field that none of them has is absent.
    fn points(&self) -> Vec<Value> {
        let found = self.query("select * from \"check\"");
        let series = &found["results"][0]["series"][0];
        let columns = series["columns"].as_array();
        let rows = series["values"].as_array().map_or(&[][..], Vec::as_slice);
        let mut points: Vec<Value> = rows
            .iter()
            .map(|row| {
                let names = columns.unwrap().iter().map(|name| name.as_str().unwrap());
                let values = row.as_array().unwrap().iter().cloned();
                names.map(str::to_owned).zip(values).collect()
            })
            .collect();
        points.sort_by_key(|point| point["id"].to_string());
        points
    }
}

/// The checks of a topic as points: what the recipe takes of them, and what was never there left out.
fn expected(topic: &Topic) -> Vec<Value> {
    const TAKEN: [&str; 14] = [
        "site",
        "location",
        "id",
        "outcome",
        "up",
        "maintenance",
        "status",
        "dns_us",
        "connect_us",
        "tls_us",
        "first_byte_us",
        "body_us",
        "total_us",
        "body_bytes",
    ];
    let point = |event: Value| {
        let checked_at: Timestamp = event["checked_at"].as_str().unwrap().parse().unwrap();
        let mut point = json!({"time": checked_at.as_microsecond()});
        for name in TAKEN {
            if !event[name].is_null() {
                point[name] = event[name].clone();
            }
        }
        point
    };
    topic.events().into_iter().map(point).collect()
}

#[test]
fn a_check_is_one_point_also_when_the_topic_is_read_again() {
    // As the recipe has it.
    const GROUP: &str = "telegraf";

    let topic = Topic::new();
    let influx = Influx::start();
    for _ in 0..2 {
        let telegraf = Run::program(telegraf::executable())
            .arg("--config")
            .arg(root().join("k8s/connect/telegraf.conf"))
            .var("KAFKA_BROKERS", topic.kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic.name)
            .var("INFLUXDB_URL", influx.url())
            .spawn();
        topic.is_read_by(GROUP, || {});
        telegraf.signal(Signal::TERM);
        let said = telegraf.wait().exits(0).stderr;
        for refused in ["unable to parse: no JSON\n", "unable to parse: \n"] {
            assert!(said.contains(refused), "{refused:?} is not in {said}");
        }
        assert_eq!(influx.points(), expected(&topic));
        topic.kafka.forget_group(GROUP);
    }
}
