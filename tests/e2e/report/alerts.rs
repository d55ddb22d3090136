//! The alerts of `k8s/prometheus`: each fires, and is made of metrics that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use regex::Regex;
use sitewatch_tests::prometheus;

use super::metrics::metrics;
use crate::support::{Prepared, down, lines, now, up};

#[test]
fn alerts_fire_when_they_should() {
    prometheus::check_rules(&rules("rules.yaml")).unwrap();
    let mut fired = BTreeSet::new();
    // Hours of every minute cost little, weeks of every hour as well.
    for tests in ["rules.test.yaml", "rules.days.test.yaml"] {
        prometheus::test_rules(&rules(tests)).unwrap();
        fired.extend(found(
            tests,
            r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels",
        ));
    }
    assert_eq!(fired, found("rules.yaml", r"- alert: (\w+)\n"));
}

#[test]
fn alerts_are_made_of_metrics_that_there_are() {
    let prepared = Prepared::new("report");
    let mut event = up("shop", 60);
    event.chain_not_after = Some(now() + SignedDuration::from_hours(24));
    // In an hour that is over.
    let mut earlier = up("shop", 7_200);
    earlier.scheduled_at = Some(earlier.checked_at);
    earlier.interval_ms = Some(60_000);
    event.scheduled_at = Some(event.checked_at);
    event.interval_ms = earlier.interval_ms;
    let mut input = lines(&[earlier, event, down("blog", 60)]);
    input.extend(b"no event\n");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(input)
        .run()
        .exits(0);
    prepared.maintain().run().exits(0);
    // Nobody is there to take it.
    prepared
        .notify("webhook+http://127.0.0.1:1/")
        .run()
        .exits(75);
    let metrics = metrics(&prepared, &[]);
    let rules = std::fs::read_to_string(rules("rules.yaml")).unwrap();
    let (selector, matcher) = (
        Regex::new(r"(sitewatch_\w+)(?:\{([^}]*)\})?").unwrap(),
        Regex::new(r#"\w+="[^"]*""#).unwrap(),
    );
    let mut seen = 0;
    for named in selector.captures_iter(&rules) {
        let name = &named[1];
        let matchers: Vec<&str> = named
            .get(2)
            .map(|all| {
                matcher
                    .find_iter(all.as_str())
                    .map(|one| one.as_str())
                    .collect()
            })
            .unwrap_or_default();
        let is_there = metrics.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && matchers.iter().all(|matcher| line.contains(matcher))
        });
        assert!(is_there, "{} in\n{metrics}", &named[0]);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

/// What a pattern finds in a file of them.
fn found(file: &str, pattern: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(rules(file)).unwrap();
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern
        .captures_iter(&text)
        .map(|found| found[1].to_owned());
    found.collect()
}

fn rules(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../k8s/prometheus")
        .join(file)
}
