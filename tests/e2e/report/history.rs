//! Statistics over time, whichever table they come from.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sitewatch::event::CheckEvent;

use crate::support::{Prepared, down, lines, up};

pub(super) fn json(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// 40 days of a check every 20 minutes; down for the 13 checks from the 10th day's beginning.
fn history() -> Vec<CheckEvent<'static>> {
    let now = Timestamp::now();
    (0..40 * 72)
        .map(|step| {
            let ago = (40 * 72 - step) * 1_200 - 600;
            let event = if (720..733).contains(&step) {
                down("shop", 0)
            } else {
                up("shop", 0)
            };
            CheckEvent {
                checked_at: now - SignedDuration::from_secs(ago),
                total_us: 100_000,
                ..event
            }
        })
        .collect()
}

fn statistics(prepared: &Prepared) -> (Value, Vec<Value>) {
    let report = |kind: &str| {
        let run = prepared
            .report()
            .var("REPORT_KIND", kind)
            .var("REPORT_FORMAT", "json")
            .var("REPORT_SINCE", "60d");
        json(&run.run().exits(0).stdout)
    };
    let mut site = report("sites").remove(0);
    // Those of the newest check's age move on.
    site["certificate_days"].take();
    (site, report("incidents"))
}

#[test]
fn statistics_are_the_same_before_and_after_single_checks_are_gone() {
    let prepared = Prepared::new("report");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&history()))
        .run()
        .exits(0);
    prepared
        .report()
        .run()
        .exits(0)
        .stderr_has("wait to be rolled up");
    // A thousand hours: on a busy machine that takes longer than a run that hangs is waited for.
    let maintain = || prepared.maintain().timeout(Duration::from_secs(600));
    maintain().run().exits(0);
    let (site, incidents) = statistics(&prepared);
    assert_eq!(site["uptime_24h"], 100.0);
    assert_eq!(site["uptime_7d"], 100.0);
    assert_eq!(
        site["uptime_30d"].as_f64().map(f64::floor),
        Some(99.0),
        "{site}"
    );
    assert_eq!(
        site["uptime_90d"].as_f64().unwrap(),
        100.0 * (2_880.0 - 13.0) / 2_880.0
    );
    let p50 = site["p50_us"].as_f64().unwrap();
    assert!((p50 / 100_000.0 - 1.0).abs() < 0.022, "{p50}");
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0]["checks"], 13);
    assert_eq!(incidents[0]["duration_s"], 13 * 1_200);
    assert_eq!(incidents[0]["ended"], "recovered");
    assert_eq!(incidents[0]["error"], "status 500, expected 200-399");

    maintain()
        .var("MAINTAIN_KEEP_CHECKS", "2d")
        .run()
        .exits(0)
        .stderr_has("days of checks dropped");
    assert_eq!(statistics(&prepared), (site, incidents));
}

#[test]
fn incidents_say_how_they_ended() {
    let prepared = Prepared::new("report");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            down("shop", 300),
            up("shop", 60),
            down("blog", 120),
            down("old", 40_000),
        ]))
        .run()
        .exits(0);
    let shown = prepared
        .report()
        .var("REPORT_KIND", "incidents")
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0);
    let ended: Vec<String> = json(&shown.stdout)
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["site"].as_str().unwrap(),
                one["ended"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(ended, ["blog ongoing", "old unknown", "shop recovered"]);
    let open = prepared
        .report()
        .var("REPORT_KIND", "incidents")
        .var("REPORT_STATE", "down")
        .var("REPORT_SITE", "b*")
        .run()
        .exits(0);
    assert_eq!(open.stdout.lines().count(), 2, "{}", open.stdout);
}
