//! The Grafana dashboards: every panel's SQL runs, in time, and gives what the panel needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use postgres::{Client, types::Type};
use serde_json::Value;
use sitewatch::event::CheckEvent;

use crate::support::{Prepared, down, lines, now, up};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/grafana")
}

fn dashboards() -> Vec<(String, Value)> {
    let mut dashboards: Vec<(String, Value)> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    dashboards.sort_by(|one, other| one.0.cmp(&other.0));
    dashboards
}

/// The panel of this title.
fn panel(dashboard: &str, title: &str) -> Value {
    let (_, content) = dashboards()
        .into_iter()
        .find(|(name, _)| name == dashboard)
        .unwrap();
    let panels = content["panels"].as_array().unwrap();
    let panel = panels.iter().find(|panel| panel["title"] == title);
    panel
        .unwrap_or_else(|| panic!("{dashboard} has no panel {title}"))
        .clone()
}

/// What it asks the database.
fn panel_sql(dashboard: &str, title: &str) -> String {
    expand(
        panel(dashboard, title)["targets"][0]["rawSql"]
            .as_str()
            .unwrap(),
    )
}

/// What Grafana makes of its macros and variables, for the last three days and the site `shop`.
fn expand(sql: &str) -> String {
    let from = "now() - interval '3 days'";
    let mut sql = sql
        .replace("$__timeFrom()", from)
        .replace("$__timeTo()", "now()")
        .replace("${site:sqlstring}", "'shop'");
    while let Some((before, rest)) = sql.split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').unwrap();
        sql = format!("{before}{column} between {from} and now(){after}");
    }
    assert!(!sql.contains('$'), "a macro this test does not know: {sql}");
    sql
}

fn is_number(kind: &Type) -> bool {
    [Type::INT2, Type::INT4, Type::INT8, Type::FLOAT8].contains(kind)
}

/// Whether PostgreSQL expects so much work that it would compile the query first (JIT), which takes
/// it most of a second.
fn is_compiled(client: &mut Client, sql: &str) -> bool {
    client
        .query(&format!("explain {sql}"), &[])
        .unwrap()
        .iter()
        .any(|line| line.get::<_, &str>(0) == "JIT:")
}

#[test]
fn every_panel_gets_the_columns_it_needs() {
    let prepared = Prepared::new("grafana");
    let events: Vec<_> = (1..300)
        .flat_map(|step| {
            let ago = step * 600;
            let shop = if step % 70 < 3 {
                down("shop", ago)
            } else {
                up("shop", ago)
            };
            [shop, down("blog", ago)]
        })
        .collect();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    prepared.maintain().run().exits(0);
    // Marks that wait, as there always are some.
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("shop", 7_300)]))
        .run()
        .exits(0);
    // Nobody is there to take it.
    prepared
        .notify("webhook+http://127.0.0.1:1/")
        .run()
        .exits(75);
    let mut client = prepared.client();
    client
        .batch_execute("set statement_timeout = '60s'")
        .unwrap();
    let (mut seen, mut compiled) = (0, Vec::new());
    for (dashboard, content) in dashboards() {
        for panel in content["panels"].as_array().unwrap() {
            let name = format!("{dashboard}: {}", panel["title"].as_str().unwrap());
            assert_eq!(panel["datasource"]["uid"], "sitewatch", "{name}");
            for target in panel["targets"].as_array().unwrap() {
                let sql = expand(target["rawSql"].as_str().unwrap());
                let statement = client
                    .prepare(&sql)
                    .unwrap_or_else(|error| panic!("{name}: {error:?}"));
                let columns = statement.columns();
                let names: Vec<&str> = columns.iter().map(postgres::Column::name).collect();
                match target["format"].as_str().unwrap() {
                    "time_series" => {
                        assert_eq!(names[0], "time", "{name}");
                        assert_eq!(*columns[0].type_(), Type::TIMESTAMPTZ, "{name}");
                        assert!(columns.len() > 1, "{name}");
                        for column in &columns[1..] {
                            assert!(is_number(column.type_()), "{name}: {column:?}");
                        }
                    }
                    _ if panel["type"] == "stat" => {
                        assert!(
                            columns.len() == 1 && is_number(columns[0].type_()),
                            "{name}"
                        );
                    }
                    _ => {}
                }
                for rule in panel["fieldConfig"]["overrides"].as_array().unwrap() {
                    let column = rule["matcher"]["options"].as_str().unwrap();
                    assert!(names.contains(&column), "{name} has no column {column}");
                }
                compiled.extend(is_compiled(&mut client, &sql).then(|| name.clone()));
                let rows = client
                    .query(&statement, &[])
                    .unwrap_or_else(|error| panic!("{name}: {error:?}"));
                assert!(!rows.is_empty(), "{name} shows nothing");
                seen += 1;
            }
        }
        for variable in content["templating"]["list"].as_array().unwrap() {
            let rows = client
                .query(variable["query"].as_str().unwrap(), &[])
                .unwrap();
            assert_eq!(rows.len(), 2);
        }
    }
    assert!(seen >= 15, "{seen}");
    assert!(compiled.is_empty(), "held for long queries: {compiled:#?}");
    assert!(!is_compiled(&mut client, "select * from current_states"));
}

#[test]
fn a_site_that_fails_in_its_maintenance_window_is_unknown_as_in_reports() {
    let prepared = Prepared::new("grafana");
    let mut announced = down("shop", 60);
    announced.maintenance = true;
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[announced, down("blog", 60), up("wiki", 60)]))
        .run()
        .exits(0);
    let mut client = prepared.client();
    for state in ["Up", "Down", "Unknown"] {
        let sql = panel_sql("overview", state);
        let sites: i64 = client.query_one(&sql, &[]).unwrap().get(0);
        assert_eq!(sites, 1, "{state}");
    }
}

#[test]
fn verdicts_are_counted_and_each_has_a_colour_of_its_own() {
    let prepared = Prepared::new("grafana");
    let mut client = prepared.client();
    client
        .batch_execute(
            r#"insert into websites (name, url, settings) values
                 ('shop', 'https://shop.example/', '{"agree": "all"}')"#,
        )
        .unwrap();
    let from = |mut event: CheckEvent<'static>, location: &'static str| {
        event.location = location.into();
        event
    };
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            from(down("shop", 60), "fra1"),
            from(up("shop", 60), "nyc1"),
            from(down("blog", 60), "fra1"),
            from(up("blog", 60), "nyc1"),
            from(up("wiki", 60), "fra1"),
            // Monitoring of it stopped, from one location or from all.
            from(down("wiki", 3_600), "nyc1"),
            up("old", 3_600),
        ]))
        .run()
        .exits(0);
    for (title, sites) in [
        ("Down", 1),
        ("Degraded", 1),
        ("Unknown", 0),
        ("Not monitored", 1),
        ("Up", 1),
    ] {
        let sql = panel_sql("overview", title);
        let found: i64 = client.query_one(&sql, &[]).unwrap().get(0);
        assert_eq!(found, sites, "{title}");
    }
    let listed: Vec<(String, String, String)> = client
        .query(&panel_sql("overview", "Not up"), &[])
        .unwrap()
        .iter()
        .map(|row| (row.get("site"), row.get("verdict"), row.get("state")))
        .collect();
    let expected = [
        ("blog", "down", "down"),
        ("blog", "down", "up"),
        ("shop", "degraded", "down"),
        ("shop", "degraded", "up"),
        ("old", "unmonitored", "unmonitored"),
        ("wiki", "up", "unmonitored"),
    ];
    assert_eq!(
        listed,
        expected.map(|(site, verdict, state)| (site.into(), verdict.into(), state.into()))
    );
    let of_site: Vec<String> = client
        .query(&panel_sql("site", "State"), &[])
        .unwrap()
        .iter()
        .map(|row| row.get("verdict"))
        .collect();
    assert_eq!(of_site, ["degraded", "degraded"]);

    for (dashboard, title) in [("overview", "Not up"), ("site", "State")] {
        let panel = panel(dashboard, title);
        let rules = panel["fieldConfig"]["overrides"].as_array().unwrap();
        for column in ["verdict", "state"] {
            let rule = rules
                .iter()
                .find(|rule| rule["matcher"]["options"] == column)
                .unwrap();
            let options = rule["properties"][0]["value"][0]["options"]
                .as_object()
                .unwrap();
            let colours: BTreeSet<&str> = options
                .values()
                .map(|option| option["color"].as_str().unwrap())
                .collect();
            let states: BTreeSet<&str> = options.keys().map(String::as_str).collect();
            assert_eq!(colours.len(), 5, "{dashboard}: {title}: {column}");
            assert_eq!(
                states,
                BTreeSet::from(["up", "degraded", "down", "unknown", "unmonitored"])
            );
        }
    }
}

#[test]
fn the_certificate_that_expires_first_is_shown_with_who_sends_it() {
    let prepared = Prepared::new("grafana");
    let mut event = up("shop", 60);
    event.chain_not_after = Some(now() + SignedDuration::from_hours(25));
    event.chain_subject = Some("Example CA, R3".into());
    event.chain_host = Some("login.example".into());
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[event, up("blog", 60)]))
        .run()
        .exits(0);
    let mut client = prepared.client();
    for (dashboard, title) in [
        ("overview", "Certificates that expire first"),
        ("site", "Certificate that expires first"),
    ] {
        let rows = client.query(&panel_sql(dashboard, title), &[]).unwrap();
        let first = rows.first().unwrap();
        assert!(
            (first.get::<_, f64>("days") - 1.0).abs() < 1e-9,
            "{dashboard}"
        );
        assert_eq!(first.get::<_, &str>("whose"), "Example CA, R3");
        assert_eq!(first.get::<_, &str>("sent by"), "login.example");
    }
}

#[test]
fn what_is_recorded_ahead_of_now_is_no_state_and_no_latest_check() {
    let prepared = Prepared::new("grafana");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .clock("+24h")
        .stdin(lines(&[up("shop", -23 * 3_600)]))
        .run()
        .exits(0);
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("shop", 120), down("shop", 60)]))
        .run()
        .exits(0);
    let mut client = prepared.client();
    let mut rows =
        |dashboard: &str, title: &str| client.query(&panel_sql(dashboard, title), &[]).unwrap();
    for (state, sites) in [("Up", 0), ("Down", 1), ("Unknown", 0)] {
        assert_eq!(
            rows("overview", state)[0].get::<_, i64>(0),
            sites,
            "{state}"
        );
    }
    assert_eq!(rows("site", "Latest checks").len(), 2);
}

#[test]
fn numbers_are_rounded_as_in_reports() {
    let prepared = Prepared::new("grafana");
    let mut client = prepared.client();
    // A site that failed once in a million checks and has a certificate that expired yesterday.
    client
        .batch_execute(
            "insert into locations (name) values ('default');
             insert into websites (name, url) values ('shop', 'https://shop.example/');
             select create_rollup_partitions(current_date - 1, current_date);
             insert into checks_hourly (hour, first_at, last_at, first_known_at, website_id, checks, up, down,
                 unknown, maintenance, location_id, outcomes)
             select hour, hour, hour, hour, 1, 1000000, 999999, 1, 0, 0, 1, '{}'
             from (select date_trunc('hour', now(), 'UTC') - interval '2 hours' as hour) as one;
             insert into website_states (website_id, location_id, checked_at, outcome, up, certificate_not_after)
             values (1, 1, now() - interval '1 minute', 0, true, now() - interval '30 hours')",
        )
        .unwrap();
    for (dashboard, title, column, expected) in [
        ("overview", "Uptime in the time shown", "uptime", 99.999),
        ("site", "Uptime in the time shown", "uptime", 99.999),
        ("overview", "Certificates that expire first", "days", -1.0),
    ] {
        let sql = panel_sql(dashboard, title);
        let found: f64 = client.query_one(&sql, &[]).unwrap().get(column);
        assert!(
            (found - expected).abs() < 1e-9,
            "{dashboard}: {title}: {found}"
        );
    }
}

#[test]
fn a_reader_with_the_documented_grants_can_show_everything() {
    let prepared = Prepared::new("grafana");
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/README.md"),
    )
    .unwrap();
    let (_, grants) = text.split_once("-- report, Grafana\n").unwrap();
    let (grants, _) = grants.split_once("\n\n").unwrap();
    let mut client = sitewatch_tests::shared::postgres().superuser();
    let role = format!("reader_{}", std::process::id());
    client
        .batch_execute(&format!("create role {role}"))
        .unwrap();
    let mut owner = prepared.client();
    owner
        .batch_execute(&grants.replace(" to report;", &format!(" to {role};")))
        .unwrap();
    client
        .batch_execute(&format!(
            "grant {role} to {}",
            sitewatch_tests::postgres::USER
        ))
        .unwrap();
    owner.batch_execute(&format!("set role {role}")).unwrap();
    for (dashboard, content) in dashboards() {
        for panel in content["panels"].as_array().unwrap() {
            let sql = expand(panel["targets"][0]["rawSql"].as_str().unwrap());
            if let Err(error) = owner.query(&sql, &[]) {
                panic!("{dashboard}: {}: {error:?}", panel["title"]);
            }
        }
    }
}
