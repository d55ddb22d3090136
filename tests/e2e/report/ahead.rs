//! Checks that are ahead of now: not recorded, and not believed where an earlier release has.

use jiff::{SignedDuration, Timestamp};
use sitewatch::event::CheckEvent;
use sitewatch_tests::postgres::Postgres;

use super::history::json;
use crate::support::{Prepared, down, last_line, lines, now, up};

fn drain(prepared: &Prepared, events: &[CheckEvent<'_>]) -> String {
    let run = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(events))
        .run()
        .exits(0);
    last_line(&run.stderr)
}

/// The times that metrics tell, and the values by name and labels of those that end in `up`.
fn metrics(prepared: &Prepared) -> String {
    prepared
        .report()
        .var("REPORT_FORMAT", "prometheus")
        .run()
        .exits(0)
        .stdout
}

#[track_caller]
fn is_down_and_nothing_is_ahead(prepared: &Prepared) {
    let sites = prepared
        .report()
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0)
        .stdout;
    let sites = json(&sites);
    assert_eq!(sites[0]["state"], "down", "{sites:?}");
    let since: Timestamp = sites[0]["since"].as_str().unwrap().parse().unwrap();
    assert_eq!(since, now() - SignedDuration::from_secs(120));
    let incidents = prepared
        .report()
        .var("REPORT_KIND", "incidents")
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0)
        .stdout;
    let incidents = json(&incidents);
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0]["ended"], "ongoing");
    let recent = prepared
        .report()
        .var("REPORT_RECENT", "10")
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0)
        .stdout;
    assert_eq!(json(&recent).len(), 3, "{recent}");

    let text = metrics(prepared);
    let up = r#"sitewatch_site_up{site="shop",location="default"} 0.0"#;
    assert!(text.lines().any(|line| line == up), "{text}");
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    for line in text.lines().filter(|line| {
        line.starts_with("sitewatch_")
            && line.contains("_timestamp_seconds{")
            && !line.contains("_certificate_")
    }) {
        let (_, seconds) = line.rsplit_once(' ').unwrap();
        let seconds: f64 = seconds.parse().unwrap();
        assert!(seconds <= later.as_millisecond() as f64 / 1e3, "{line}");
    }
}

#[test]
fn an_event_that_is_ahead_is_a_dead_letter_until_its_time_has_come() {
    let prepared = Prepared::new("report");
    let said = drain(
        &prepared,
        &[
            up("shop", 180),
            down("shop", 120),
            down("shop", 60),
            up("shop", -23 * 3_600),
            up("shop", -1_200),
        ],
    );
    assert_eq!(said, "3 checks recorded, 2 dead-lettered");
    is_down_and_nothing_is_ahead(&prepared);
    for reason in prepared.reasons().values() {
        assert!(
            reason.ends_with("is more than 5 minutes ahead of now; once its time has come, DRAIN_REPLAY_DEAD_LETTERS=true records it"),
            "{reason}"
        );
    }
    let replay = |clock: &str| {
        let run = prepared
            .drain()
            .var("DRAIN_REPLAY_DEAD_LETTERS", "true")
            .clock(clock)
            .run()
            .exits(0);
        last_line(&run.stderr)
    };
    assert_eq!(
        replay("+0"),
        "0 dead letters recorded, 0 were recorded already, 2 cannot be recorded still"
    );
    assert_eq!(
        replay("+23h"),
        "2 dead letters recorded, 0 were recorded already, 0 cannot be recorded still"
    );
}

#[test]
fn a_probe_whose_clock_is_a_little_ahead_is_believed_and_its_metrics_are_not_ahead() {
    let prepared = Prepared::new("report");
    let said = drain(
        &prepared,
        &[up("shop", 60), down("shop", -120), down("blog", -120)],
    );
    assert_eq!(said, "3 checks recorded");
    let text = metrics(&prepared);
    let later = Timestamp::now().as_millisecond() as f64 / 1e3 + 1.0;
    let mut seen = 0;
    for line in text.lines() {
        if line.starts_with("sitewatch_probe_last_check_timestamp_seconds{")
            || line.starts_with("sitewatch_site_last_check_timestamp_seconds{")
            || line.starts_with("sitewatch_site_state_since_timestamp_seconds{")
        {
            let (_, seconds) = line.rsplit_once(' ').unwrap();
            assert!(seconds.parse::<f64>().unwrap() <= later, "{line}");
            seen += 1;
        }
    }
    assert_eq!(seen, 5);
    let up = r#"sitewatch_site_up{site="shop",location="default"} 0.0"#;
    assert!(text.lines().any(|line| line == up), "{text}");
}

#[test]
fn what_was_recorded_ahead_freezes_nothing() {
    let prepared = Prepared::new("report");
    // A drain whose clock was wrong, as an earlier release's believed a day.
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .clock("+24h")
        .stdin(lines(&[up("shop", -23 * 3_600), down("shop", -22 * 3_600)]))
        .run()
        .exits(0);
    let only = prepared.report().run().exits(0);
    assert!(
        only.stdout.contains("nothing recorded yet"),
        "{}",
        only.stdout
    );
    drain(
        &prepared,
        &[up("shop", 180), down("shop", 120), down("shop", 60)],
    );
    is_down_and_nothing_is_ahead(&prepared);
    // A certificate that was renewed shows.
    let mut renewed = down("shop", 30);
    renewed.certificate_not_after = Some(now() + SignedDuration::from_hours(24 * 90));
    drain(&prepared, &[renewed]);
    assert_eq!(
        prepared.count(
            "select count(*) from current_states where certificate_not_after > now() + interval '80 days'"
        ),
        1
    );
}

#[test]
fn a_clock_that_is_behind_makes_no_dead_letters() {
    let server = Postgres::options().own_clock().start();
    let prepared = Prepared::on(&server, "report");
    for (postgresql, own, seconds_ago) in [("+0", "-1d", 60), ("-1d", "+0", 59)] {
        server.set_clock(postgresql);
        let run = prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .clock(own)
            .stdin(lines(&[up("shop", seconds_ago)]))
            .run()
            .exits(0);
        assert_eq!(last_line(&run.stderr), "1 check recorded");
    }
}
