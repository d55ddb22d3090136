//! What `notify` could not tell: messages that nobody took yet, and those that were given up.

use sitewatch_tests::prometheus;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::history::json;
use super::metrics::metrics;
use crate::support::{Prepared, down, lines};

/// What `pager` was to be told of two sites was given up; `chat` has not taken a third one's yet.
fn undelivered() -> Prepared {
    let prepared = Prepared::new("report");
    let wrong = Website::start(Behaviour::Page(Page::new(400, "no such hook")));
    for (sites, channel, give_up, said) in [
        (&["shop", "blog"][..], "pager", "1ms", "2 messages given up"),
        (&["wiki"], "chat", "1d", "1 message left for a later run"),
    ] {
        let failed: Vec<_> = sites.iter().map(|site| down(site, 60)).collect();
        prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .stdin(lines(&failed))
            .run()
            .exits(0);
        prepared
            .notify(&format!("webhook+{}#name={channel}", wrong.url()))
            .var("NOTIFY_GIVE_UP", give_up)
            .run()
            .exits(75)
            .stderr_has(said);
    }
    prepared
}

#[test]
fn messages_that_nobody_took_are_listed_with_why() {
    let prepared = undelivered();
    let report = || prepared.report().var("REPORT_KIND", "notifications");
    let listed: Vec<String> = json(&report().var("REPORT_FORMAT", "json").run().exits(0).stdout)
        .iter()
        .map(|line| {
            assert_eq!(line["attempts"], 1);
            assert_eq!(
                line["given_up_at"].is_null(),
                line["next_attempt_at"].is_string()
            );
            format!(
                "{} {} {} {} {}",
                line["site"].as_str().unwrap(),
                line["event"].as_str().unwrap(),
                line["channel"].as_str().unwrap(),
                line["state"].as_str().unwrap(),
                line["error"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        listed[0],
        "wiki down chat pending 400 Bad Request: no such hook"
    );
    for site in ["shop", "blog"] {
        let given_up = format!("{site} down pager given_up 400 Bad Request: no such hook");
        assert!(listed[1..].contains(&given_up), "{listed:?}");
    }
    assert_eq!(listed.len(), 3);
    report()
        .var("REPORT_SITE", "wiki")
        .run()
        .exits(0)
        .stdout_has("pending")
        .stderr_has("INFO  report: 1 notification not taken");
}

#[test]
fn whoever_reads_a_report_is_told_of_messages_that_were_given_up() {
    let prepared = undelivered();
    let warning = "WARN  report: 2 messages were given up in the last 24 hours; REPORT_KIND=notifications shows what was to be told to whom, and why it was not taken\n";
    for kind in ["sites", "incidents"] {
        prepared
            .report()
            .var("REPORT_KIND", kind)
            .var("LOG_LEVEL", "warn")
            .run()
            .exits(0)
            .logs(warning);
    }
    prepared
        .client()
        .batch_execute("update notifications set given_up_at = given_up_at - interval '25 hours'")
        .unwrap();
    prepared
        .report()
        .var("LOG_LEVEL", "warn")
        .run()
        .exits(0)
        .logs("");
}

#[test]
fn metrics_have_what_nobody_took() {
    let prepared = undelivered();
    let metrics = metrics(&prepared, &[]);
    prometheus::check_metrics(&metrics).unwrap();
    let samples: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("sitewatch_notifications_"))
        .collect();
    let since = prepared.count(
        "select floor(extract(epoch from decided_at))::int8 from notifications where channel = 'chat'",
    );
    let pending_since = format!(
        "sitewatch_notifications_pending_since_timestamp_seconds{{channel=\"chat\"}} {since}"
    );
    assert!(samples[1].starts_with(&pending_since), "{samples:?}");
    assert_eq!(
        [samples[0], samples[2]],
        [
            r#"sitewatch_notifications_pending{channel="chat"} 1.0"#,
            r#"sitewatch_notifications_given_up{channel="pager"} 2.0"#,
        ]
    );
    assert_eq!(samples.len(), 3);
}
