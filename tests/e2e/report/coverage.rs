//! How much of the time the checks of a site cover: what was not looked at is shown as that.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sitewatch::event::{CheckEvent, Outcome};

use super::history::json;
use crate::support::{Prepared, lines, now, up};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

fn this_hour() -> i64 {
    now().as_second().div_euclid(HOUR) * HOUR
}

/// A check half a second after its slot; seconds since 1970.
fn made_for(site: &str, slot: i64) -> CheckEvent<'static> {
    let slot = Timestamp::from_second(slot).unwrap();
    CheckEvent {
        checked_at: slot + SignedDuration::from_millis(500),
        scheduled_at: Some(slot),
        interval_ms: Some(60_000),
        ..up(site, 0)
    }
}

/// Checks once a minute over 30 hours, with what may go wrong; of another site until six hours ago,
/// and one check of a probe that is told no period.
fn history() -> Vec<CheckEvent<'static>> {
    let (now, this_hour) = (now().as_second(), this_hour());
    let mut events = vec![up("without", 30)];
    for slot in (this_hour - 30 * HOUR..now).step_by(MINUTE as usize) {
        if slot < now - 6 * HOUR {
            events.push(made_for("stopped", slot));
        }
        let check = made_for("shop", slot);
        match (slot - this_hour).div_euclid(HOUR) {
            // Nobody looked.
            -10..-7 => {}
            // Two schedulers looked.
            -5 => {
                events.push(CheckEvent {
                    checked_at: check.checked_at + SignedDuration::from_secs(10),
                    ..made_for("shop", slot)
                });
                events.push(check);
            }
            // Every other look was in vain.
            -4 if slot % (2 * MINUTE) == 0 => events.push(CheckEvent {
                up: None,
                outcome: Outcome::Local,
                error: Some("connect: network unreachable".into()),
                ..check
            }),
            // The first quarter of an hour is missing.
            -3 if slot % HOUR < 15 * MINUTE => {}
            _ => events.push(check),
        }
    }
    events
}

fn sites(prepared: &Prepared) -> BTreeMap<String, Value> {
    let report = prepared.report().var("REPORT_FORMAT", "json").run();
    json(&report.exits(0).stdout)
        .into_iter()
        .map(|line| (line["site"].as_str().unwrap().to_owned(), line))
        .collect()
}

/// As `sites`, and when that was: within an hour.
fn sites_at(prepared: &Prepared) -> (BTreeMap<String, Value>, i64) {
    loop {
        let before = Timestamp::now().as_second();
        let sites = sites(prepared);
        if Timestamp::now().as_second() / HOUR == before / HOUR {
            return (sites, before);
        }
    }
}

#[track_caller]
fn is_told(prepared: &Prepared, when: &str) {
    let (sites, told_at) = sites_at(prepared);
    let from = told_at / HOUR * HOUR - 24 * HOUR;
    // Checks come in until ten minutes have passed without one.
    let newest = now().as_second();
    let is_current = told_at - newest < 9 * MINUTE;
    let covers = |site: &str, covered: i64, until: i64| {
        let percentage = 100.0 * covered as f64 / (until - from) as f64;
        let told = sites[site]["coverage_24h"].as_f64().unwrap();
        assert!(
            (told - percentage).abs() < 0.2,
            "{when}: {site}: {told}, expected {percentage}"
        );
    };
    let missing = (180 + 30 + 15) * MINUTE;
    let until = if is_current { newest } else { told_at };
    covers("shop", newest - from - missing, until);
    covers("stopped", newest - 6 * HOUR - from, told_at);
    assert_eq!(sites["without"]["coverage_24h"], Value::Null, "{when}");
    assert_eq!(sites["stopped"]["verdict"], "unmonitored", "{when}");
    // What was not looked at is neither up nor down.
    assert_eq!(sites["shop"]["uptime_24h"], 100.0, "{when}");
}

#[test]
fn what_was_not_looked_at_is_told_and_drawn() {
    let prepared = Prepared::new("coverage");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&history()))
        .run()
        .exits(0);
    is_told(&prepared, "not rolled up");
    prepared.maintain().run().exits(0);
    is_told(&prepared, "rolled up");
    assert_eq!(sites(&prepared)["shop"]["duplicates_24h"], 60);

    let hours: Vec<(i64, [i32; 4])> = prepared
        .client()
        .query(
            "select (extract(epoch from hour))::int8, slots_due, slots_checked, slots_missed, duplicates
             from coverage_hourly join websites on websites.id = website_id
             where name = 'shop' and hour < $1 order by hour desc limit 12",
            &[&Timestamp::from_second(this_hour()).unwrap()],
        )
        .unwrap()
        .iter()
        .map(|row| {
            let counts = [1, 2, 3, 4].map(|column| row.get(column));
            ((row.get::<_, i64>(0) - this_hour()) / HOUR, counts)
        })
        .collect();
    let whole = |hour| (hour, [60, 60, 0, 0]);
    assert_eq!(
        hours,
        [
            whole(-1),
            whole(-2),
            (-3, [60, 45, 15, 0]),
            (-4, [60, 30, 30, 0]),
            (-5, [60, 60, 0, 60]),
            whole(-6),
            whole(-7),
            whole(-11),
            whole(-12),
            whole(-13),
            whole(-14),
            whole(-15),
        ]
    );

    let metrics = prepared.report().var("REPORT_FORMAT", "prometheus").run();
    let metrics = metrics.exits(0).stdout;
    let ratio = |site: &str| {
        let sample =
            format!("sitewatch_site_coverage_ratio{{site=\"{site}\",location=\"default\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&sample));
        line.map(|value| value.parse::<f64>().unwrap())
    };
    let told = ratio("shop").unwrap();
    // Of twenty-four hours, or of one less.
    assert!((0.83..0.85).contains(&told), "{told}");
    assert_eq!(ratio("without"), None);

    let page = prepared.report().var("REPORT_FORMAT", "html").run();
    let page = page.exits(0).stdout;
    assert!(page.contains(r#"<path class="hole" d="M"#), "{page}");
    assert!(page.contains("not wholly checked"), "{page}");
    assert!(page.contains(" % of the time</span>"), "{page}");
}
