//! `report`: what a person and a program see.

use jiff::SignedDuration;

use crate::support::{Prepared, down, last_line, lines, now, up};

fn filled() -> Prepared {
    let prepared = Prepared::new("report");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            down("shop", 180),
            up("shop", 120),
            down("shop", 60),
            up("blog", 60),
            up("old", 3_600),
        ]))
        .run()
        .exits(0);
    prepared
}

#[test]
fn what_is_broken_comes_first_and_what_is_old_is_unknown() {
    let prepared = filled();
    prepared
        .client()
        .batch_execute(
            // A row from before the table refused credentials.
            "alter table websites drop constraint url_holds_no_credentials;
             insert into websites (name, url) values ('new', 'https://u:hunter2@new.example/')",
        )
        .unwrap();
    let shown = prepared.report().run().exits(0);
    let rows: Vec<Vec<&str>> = shown
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().take(2).collect())
        .collect();
    assert_eq!(
        rows,
        [
            ["shop", "down"],
            ["new", "unknown"],
            ["old", "not"],
            ["blog", "up"]
        ],
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains(" not monitored "), "{}", shown.stdout);
    assert_eq!(
        last_line(&shown.stderr),
        "4 sites: 1 up, 1 down, 1 unknown, 1 not monitored"
    );
    assert!(shown.stdout.contains("33.3 %"), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("status 500, expected 200-399"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("never checked"), "{}", shown.stdout);
    assert!(
        !shown.stdout.contains("\u{1b}["),
        "colours in a pipe: {}",
        shown.stdout
    );
}

#[test]
fn json_and_csv_have_the_same_fields_and_no_credentials() {
    let prepared = filled();
    prepared
        .client()
        .batch_execute(
            // A row from before the table refused credentials.
            "alter table websites drop constraint url_holds_no_credentials;
             insert into websites (name, url) values ('new', 'https://u:hunter2@new.example/')",
        )
        .unwrap();
    let json = prepared
        .report()
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0)
        .stdout;
    let csv = prepared
        .report()
        .var("REPORT_FORMAT", "csv")
        .run()
        .exits(0)
        .stdout;
    assert!(
        !json.contains("hunter2") && !csv.contains("hunter2"),
        "{json}{csv}"
    );
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["site"], "shop");
    assert_eq!(first["state"], "down");
    assert_eq!(first["checks_24h"], 3);
    assert_eq!(first["total_us"], 73_500);
    for column in csv.lines().next().unwrap().split(',') {
        assert!(first.get(column).is_some(), "{column} is in CSV only");
    }
    assert_eq!(csv.lines().count(), json.lines().count() + 1);
}

#[test]
fn recent_shows_checks_as_they_were_recorded_newest_first() {
    let prepared = filled();
    let json = prepared
        .report()
        .var("REPORT_RECENT", "3")
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(0)
        .stdout;
    let sites: Vec<String> = json
        .lines()
        .map(|line| {
            let check: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {}",
                check["site"].as_str().unwrap(),
                check["state"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(sites, ["blog up", "shop down", "shop up"]);
}

#[test]
fn a_site_that_is_seen_from_several_locations_is_one_as_the_worst_of_them_sees_it() {
    let prepared = Prepared::new("report");
    let mut elsewhere = down("shop", 60);
    elsewhere.location = "fra1".into();
    let mut same = up("blog", 60);
    same.location = "fra1".into();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("shop", 60), elsewhere, up("blog", 60), same]))
        .run()
        .exits(0);
    let table = prepared.report().run().exits(0);
    assert_eq!(
        last_line(&table.stderr),
        "2 sites: 1 up, 1 down, 0 unknown",
        "{}",
        table.stderr
    );
    // The heading, and a line for each location.
    assert_eq!(table.stdout.lines().count(), 5, "{}", table.stdout);
    assert!(table.stdout.contains("shop (fra1)"), "{}", table.stdout);
    let page = prepared
        .report()
        .var("REPORT_FORMAT", "html")
        .run()
        .exits(0);
    assert!(page.stdout.contains(">1 of 2 sites is down<"));
}

#[test]
fn a_site_that_too_few_locations_see_down_is_degraded() {
    let prepared = Prepared::new("report");
    prepared
        .client()
        .batch_execute(
            r#"insert into websites (name, url, settings) values
                 ('shop', 'https://shop.example/', '{"agree": "majority"}'),
                 ('blog', 'https://blog.example/', '{"confirm": "2", "agree": 2}')"#,
        )
        .unwrap();
    let from = |mut event: sitewatch::event::CheckEvent<'static>, location: &'static str| {
        event.location = location.into();
        event
    };
    let of_two = |site: &str, seconds_ago: i64| {
        [
            from(down(site, seconds_ago), "fra1"),
            from(up(site, seconds_ago), "nyc1"),
        ]
    };
    let mut events = Vec::from(of_two("shop", 120));
    events.extend(of_two("blog", 120));
    events.extend(of_two("blog", 60));
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    let report = || prepared.report().var("REPORT_FAIL_ON_DOWN", "true");
    let table = report().run().exits(0);
    assert_eq!(
        last_line(&table.stderr),
        "2 sites: 0 up, 0 down, 0 unknown, 2 degraded",
        "{}",
        table.stdout
    );
    let incidents = report().var("REPORT_KIND", "incidents").run().exits(0);
    assert!(!incidents.stdout.contains("shop"), "{}", incidents.stdout);
    let page = report().var("REPORT_FORMAT", "html").run().exits(0);
    assert!(page.stdout.contains(">2 of 2 sites are degraded<"));
    let metrics = report().var("REPORT_FORMAT", "prometheus").run().exits(0);
    let degraded = r#"sitewatch_site_state{site="shop",state="degraded"} 1"#;
    assert!(metrics.stdout.contains(degraded), "{}", metrics.stdout);

    // And then the others do.
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            from(down("shop", 30), "nyc1"),
            from(down("blog", 30), "nyc1"),
            from(down("blog", 10), "nyc1"),
        ]))
        .run()
        .exits(0);
    let table = report().run().exits(1);
    assert_eq!(
        last_line(&table.stderr),
        "2 sites: 0 up, 2 down, 0 unknown",
        "{}",
        table.stdout
    );
    let incidents = report()
        .var("REPORT_KIND", "incidents")
        .var("REPORT_FORMAT", "json")
        .run()
        .exits(1);
    let blog: serde_json::Value =
        serde_json::from_str(incidents.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(blog["site"], "blog");
    assert_eq!(blog["location"], "fra1,nyc1");
    let at = |seconds: i64| (now() - SignedDuration::from_secs(seconds)).to_string();
    assert_eq!(blog["opened_at"], at(10));
    assert_eq!(blog["first_failed_at"], at(120));
    assert_eq!(blog["last_failed_at"], at(10));
}

#[test]
fn recent_since_a_time_is_all_since_then_unless_fewer_are_asked_for() {
    let prepared = Prepared::new("report");
    let events: Vec<_> = (0..150).map(|second| up("shop", second)).collect();
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    let recent = || {
        prepared
            .report()
            .var("REPORT_KIND", "recent")
            .var("REPORT_FORMAT", "csv")
    };
    let count = |text: &str| text.lines().count() - 1;
    assert_eq!(count(&recent().run().exits(0).stdout), 100);
    let since = recent().var("REPORT_SINCE", "1h").run().exits(0);
    assert_eq!(count(&since.stdout), 150);
    assert!(
        !since.stderr.contains("there may be more"),
        "{}",
        since.stderr
    );
    let fewer = recent()
        .var("REPORT_SINCE", "1h")
        .var("REPORT_RECENT", "7")
        .run()
        .exits(0)
        .logs(r#"WARN  report: these are the latest 7 checks, and there may be more since REPORT_SINCE: see REPORT_RECENT
INFO  report: the latest 7 checks
"#);
    assert_eq!(count(&fewer.stdout), 7);
}

#[test]
fn an_older_layout_is_still_to_be_read() {
    let prepared = filled();
    assert_eq!(
        prepared.count(
            "select count(*) from website_status
             where request_info->>'status_code' = '500' and (request_info->>'response_time')::float8 = 0.0735
               and timestamp_utc > (now() at time zone 'UTC') - interval '1 hour'"
        ),
        2
    );
}

#[test]
fn an_empty_database_says_so() {
    let prepared = Prepared::new("report");
    let shown = prepared.report().run().exits(0);
    assert!(
        shown.stdout.ends_with("nothing recorded yet\n"),
        "{}",
        shown.stdout
    );
}

#[test]
fn a_site_that_fails_in_its_maintenance_window_is_not_down() {
    let prepared = Prepared::new("report");
    let mut announced = down("shop", 60);
    announced.maintenance = true;
    let mut well = up("blog", 60);
    well.maintenance = true;
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[announced, well]))
        .run()
        .exits(0);
    let table = prepared
        .report()
        .var("REPORT_FAIL_ON_DOWN", "true")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&table.stderr),
        "2 sites: 1 up, 0 down, 1 unknown",
        "{}",
        table.stderr
    );
}

#[test]
fn numbers_are_rounded_so_that_they_say_nothing_better_than_it_is() {
    let prepared = Prepared::new("report");
    let hour = 3_600;
    let mut events: Vec<_> = [
        ("a-month", 30 * 24 * hour),
        ("hours", 9 * hour + 1_800),
        ("today", -2 * hour),
        ("yesterday", -30 * hour),
        ("before", -60 * hour),
    ]
    .into_iter()
    .map(|(site, left)| {
        let mut event = up(site, 60);
        event.certificate_not_after = Some(now() + SignedDuration::from_secs(left + 600));
        event
    })
    .collect();
    // One failure of ten thousand.
    events.extend((1..10_000).map(|number| up("nearly", 60 + number)));
    events.push(down("nearly", 11_000));
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    let format = |format: &str| {
        let report = prepared.report().var("REPORT_FORMAT", format);
        report.run().exits(0).stdout
    };
    let (table, json, page) = (format("table"), format("json"), format("html"));
    for (site, cell, days) in [
        ("a-month", "30 d", 30),
        ("hours", "9 h", 0),
        ("today", "expired", -1),
        ("yesterday", "expired", -1),
        ("before", "expired", -2),
    ] {
        let of_site = |text: &str| {
            text.lines()
                .find(|line| line.contains(site))
                .unwrap()
                .to_owned()
        };
        assert!(of_site(&table).contains(&format!(" {cell}")), "{table}");
        let line: serde_json::Value = serde_json::from_str(&of_site(&json)).unwrap();
        assert_eq!(line["certificate_days"], days, "{site}");
        assert!(
            page.contains(&format!("<dt>certificate</dt><dd>{cell}</dd>")),
            "{page}"
        );
    }
    assert!(!table.contains("-2 d") && !page.contains(">-2<"), "{table}");
    let nearly = table.lines().find(|line| line.contains("nearly")).unwrap();
    assert!(nearly.contains(" 99.99 %"), "{nearly}");
    assert!(!nearly.contains("100 %"), "{nearly}");
}
