//! The availability objective of a period, and whether it was met.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sitewatch::event::CheckEvent;

use super::history::json;
use crate::support::{Prepared, down, lines, now, up};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

fn this_hour() -> i64 {
    now().as_second().div_euclid(HOUR) * HOUR
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap().to_string()
}

/// A check at its slot; seconds since 1970.
fn made_for(site: &str, team: &str, location: &'static str, slot: i64) -> CheckEvent<'static> {
    let slot_at = Timestamp::from_second(slot).unwrap();
    let mut event = match is_down(site, location, slot - this_hour()) {
        true => down(site, 0),
        false => up(site, 0),
    };
    event.labels.insert("team".into(), team.to_owned().into());
    CheckEvent {
        checked_at: slot_at,
        scheduled_at: Some(slot_at),
        interval_ms: Some(60_000),
        location: location.into(),
        ..event
    }
}

/// Of `shop` an incident that began before the day, one that two locations see after each other, one
/// of another hour; a location that alone finds `blog` down changes nothing.
fn is_down(site: &str, location: &str, at: i64) -> bool {
    let within = |from: i64, minutes: i64| (from..from + minutes * MINUTE).contains(&at);
    match (site, location) {
        ("shop", "fra1") => within(-24 * HOUR - 5 * MINUTE, 15) || within(-10 * HOUR, 12),
        ("shop", _) => within(-10 * HOUR + 6 * MINUTE, 12) || within(-30 * MINUTE, 3),
        ("blog", "fra1") => within(-8 * HOUR, 60),
        _ => false,
    }
}

/// Two sites of a team once a minute from two locations for 26 hours, one of another that was not
/// looked at for an hour, one whose probe is told no period, one that is never checked.
fn filled() -> Prepared {
    let prepared = Prepared::new("sla");
    prepared
        .client()
        .batch_execute(
            r#"insert into websites (name, url, settings, labels) values
                 ('blog', 'https://blog.example/', '{"agree": "all"}', '{"team": "web"}'),
                 ('new', 'https://new.example/', '{}', '{"team": "mail"}')"#,
        )
        .unwrap();
    let mut events = Vec::new();
    for slot in (this_hour() - 26 * HOUR..now().as_second()).step_by(MINUTE as usize) {
        for location in ["fra1", "nyc1"] {
            events.push(made_for("shop", "web", location, slot));
            events.push(made_for("blog", "web", location, slot));
        }
        if !(-3 * HOUR..-2 * HOUR).contains(&(slot - this_hour())) {
            events.push(made_for("imap", "mail", "fra1", slot));
        }
    }
    events.push(up("without", 7_200));
    events.push(up("without", 10));
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    prepared
}

/// The lines of the 24 hours before this one.
fn day(prepared: &Prepared, more: &[(&str, &str)]) -> Vec<Value> {
    let report = prepared
        .report()
        .var("REPORT_KIND", "sla")
        .var("REPORT_FORMAT", "json")
        .var("REPORT_SINCE", time(this_hour() - 24 * HOUR))
        .var("REPORT_UNTIL", time(this_hour()))
        .vars(more.iter().copied());
    json(&report.run().exits(0).stdout)
}

#[track_caller]
fn line<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    let is_it =
        |line: &&Value| line["site"] == name || line["site"].is_null() && line["group"] == name;
    lines
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{name} in {lines:?}"))
}

#[track_caller]
fn is_told(prepared: &Prepared, when: &str) {
    let lines = day(
        prepared,
        &[("REPORT_GROUP_BY", "team"), ("REPORT_SLA_TARGET", "98")],
    );
    let names: Vec<&Value> = lines.iter().map(|line| &line["site"]).collect();
    assert_eq!(names[..3], [&Value::Null; 3], "{when}: groups come first");
    assert_eq!(names[3], "shop", "{when}: then what was down the longest");

    let shop = line(&lines, "shop");
    // Ten minutes of the day's first incident, eighteen of the second, three of the third.
    assert_eq!(shop["downtime_s"], (10 + 18 + 3) * MINUTE, "{when}: {shop}");
    assert_eq!(shop["incidents"], 3, "{when}: {shop}");
    assert_eq!(shop["monitored_s"], 24 * HOUR, "{when}: {shop}");
    let uptime = shop["uptime"].as_f64().unwrap();
    let expected = 100.0 * (1.0 - 31.0 / 1_440.0);
    assert!((uptime - expected).abs() < 1e-9, "{when}: {shop}");
    assert_eq!(shop["coverage"], 100.0, "{when}: {shop}");
    assert_eq!(shop["budget_s"], 1_728, "{when}: {shop}");
    assert_eq!(shop["budget_left_s"], 1_728 - 31 * MINUTE, "{when}: {shop}");
    assert_eq!(shop["met"], false, "{when}: {shop}");

    let blog = line(&lines, "blog");
    assert_eq!(
        blog["downtime_s"], 0,
        "{when}: degraded is not down: {blog}"
    );
    assert_eq!(blog["met"], true, "{when}: {blog}");

    let imap = line(&lines, "imap");
    assert_eq!(imap["uptime"], 100.0, "{when}: {imap}");
    let coverage = imap["coverage"].as_f64().unwrap();
    assert!(
        (coverage - 100.0 * 23.0 / 24.0).abs() < 1e-9,
        "{when}: {imap}"
    );
    assert_eq!(imap["uncovered_s"], HOUR, "{when}: {imap}");
    // It may have been down for that hour.
    assert_eq!(imap["met"], Value::Null, "{when}: {imap}");

    let without = line(&lines, "without");
    assert_eq!(without["uptime"], 100.0, "{when}: {without}");
    assert_eq!(without["coverage"], Value::Null, "{when}: {without}");
    assert_eq!(without["met"], Value::Null, "{when}: {without}");
    let new = line(&lines, "new");
    assert_eq!(new["uptime"], Value::Null, "{when}: {new}");
    assert_eq!(new["monitored_s"], 0, "{when}: {new}");

    let web = line(&lines, "web");
    assert_eq!(web["scope"], "group", "{when}: {web}");
    assert_eq!(web["sites"], 2, "{when}: {web}");
    assert_eq!(web["sites_met"], 1, "{when}: {web}");
    assert_eq!(web["downtime_s"], 31 * MINUTE, "{when}: {web}");
    assert_eq!(web["monitored_s"], 48 * HOUR, "{when}: {web}");
    assert_eq!(web["met"], true, "{when}: {web}");
    let others: Vec<&Value> = lines
        .iter()
        .filter(|line| line["site"].is_null() && line["group"].is_null())
        .collect();
    assert_eq!(others.len(), 1, "{when}: {lines:?}");
    assert_eq!(others[0]["sites"], 1, "{when}: {lines:?}");
}

#[test]
fn downtime_is_that_of_the_incidents_and_what_nobody_looked_at_is_told() {
    let prepared = filled();
    is_told(&prepared, "not rolled up");
    prepared.maintain().run().exits(0);
    is_told(&prepared, "rolled up");

    // As the incidents have it, over all there is.
    let sum = |lines: &[Value], field: &str| -> i64 {
        lines.iter().filter_map(|line| line[field].as_i64()).sum()
    };
    let of_kind = |kind: &str| {
        let report = prepared.report().var("REPORT_KIND", kind);
        let report = report
            .var("REPORT_SINCE", "30h")
            .var("REPORT_FORMAT", "json");
        json(&report.run().exits(0).stdout)
    };
    let (sites, incidents) = (of_kind("sla"), of_kind("incidents"));
    assert_eq!(sum(&sites, "downtime_s"), sum(&incidents, "duration_s"));
    assert_eq!(sum(&sites, "incidents"), incidents.len() as i64);
}

#[test]
fn a_month_that_goes_on_has_its_whole_budget_and_is_not_met_yet() {
    let prepared = filled();
    let report = || {
        let report = prepared.report().var("REPORT_KIND", "sla");
        report.var("REPORT_SITE", "blog")
    };
    let month = json(&report().var("REPORT_FORMAT", "json").run().exits(0).stdout).remove(0);
    let (from, until) = (
        month["from"].as_str().unwrap(),
        month["until"].as_str().unwrap(),
    );
    assert!(
        from.ends_with("-01T00:00:00Z") && until.ends_with("-01T00:00:00Z"),
        "{month}"
    );
    assert!(until > now().to_string().as_str(), "{month}");
    assert_eq!(month["met"], Value::Null, "{month}");
    assert!(
        month["budget_s"].as_f64() > month["monitored_s"].as_f64().map(|s| s / 1_001.0),
        "{month}"
    );

    report()
        .var("REPORT_SINCE", "2026-02")
        .var("REPORT_UNTIL", "2026-01-31")
        .var("REPORT_SLA_TARGET", "101")
        .run()
        .exits(78)
        .logs(
            r#"ERROR report: 2 problems in the configuration
  REPORT_UNTIL is 2026-01-31T00:00:00Z, which is not after the period's beginning, 2026-02-01T00:00:00Z; wants a later time
  REPORT_SLA_TARGET is "101": not above 0 and at most 100; wants a percentage above 0, at most 100, for example 99.95
ERROR report: see `report --help` for every variable it reads (exit code 78)
"#,
        );
    prepared
        .report()
        .var("REPORT_UNTIL", "2026-01")
        .run()
        .exits(78)
        .logs(
            "ERROR report: REPORT_UNTIL is set, but nothing would end there; wants REPORT_KIND=sla
ERROR report: see `report --help` for every variable it reads (exit code 78)
",
        );
}

#[test]
fn an_objective_is_told_as_a_table_as_csv_and_as_a_page() {
    let prepared = filled();
    let told = |format: &str| {
        let report = prepared.report().var("REPORT_KIND", "sla");
        let report = report
            .var("REPORT_GROUP_BY", "team")
            .var("REPORT_FORMAT", format);
        report
            .var("REPORT_SINCE", time(this_hour() - 24 * HOUR))
            .var("REPORT_UNTIL", time(this_hour()))
            .var("REPORT_TITLE", "<b>Ours</b>")
            .run()
            .exits(0)
            .stdout
    };
    let table = told("table");
    let shop = table.lines().find(|line| line.contains("shop")).unwrap();
    for part in ["web", "97.847 %", "31 min", "-29 min", "no"] {
        assert!(shop.contains(part), "{part} in\n{table}");
    }
    let csv = told("csv");
    assert_eq!(csv.lines().count(), 1 + 3 + 5, "{csv}");
    let page = told("html");
    assert!(
        page.contains("<h1>&#60;b&#62;Ours&#60;/b&#62;</h1>"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
    for part in ["97.847 %", "31 min", ">missed<", ">met<", ">not known<"] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
}

/// What the daily rollups have is not read from anything else.
#[test]
fn a_month_of_long_ago_is_read_from_the_rollups() {
    let prepared = Prepared::new("sla");
    let events: Vec<_> = (0..40 * 24)
        .map(|hour| {
            let slot = this_hour() - hour * HOUR;
            let at = Timestamp::from_second(slot).unwrap();
            let event = match hour {
                700..702 => down("shop", 0),
                _ => up("shop", 0),
            };
            CheckEvent {
                checked_at: at + SignedDuration::from_secs(1),
                scheduled_at: Some(at),
                interval_ms: Some(3_600_000),
                ..event
            }
        })
        .collect();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    let maintain = || {
        prepared
            .maintain()
            .timeout(std::time::Duration::from_secs(600))
    };
    maintain().run().exits(0);
    let told = || {
        let report = prepared.report().var("REPORT_KIND", "sla");
        let report = report
            .var("REPORT_SINCE", "35d")
            .var("REPORT_FORMAT", "json");
        let mut line = json(&report.run().exits(0).stdout).remove(0);
        assert_eq!(line["downtime_s"], 2 * HOUR, "{line}");
        assert!(line["coverage"].as_f64() > Some(99.9), "{line}");
        // Time goes on.
        for field in [
            "until",
            "monitored_s",
            "uptime",
            "budget_s",
            "budget_left_s",
            "coverage",
        ] {
            line[field].take();
        }
        line
    };
    let before = told();
    maintain()
        .var("MAINTAIN_KEEP_CHECKS", "2d")
        .run()
        .exits(0)
        .stderr_has("days of checks dropped");
    assert_eq!(told(), before);
}
