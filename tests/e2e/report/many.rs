//! More sites than anybody has: memory stays bounded, whatever the format, and nothing is missing.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sitewatch_tests::memory;

use crate::support::Prepared;

/// More than twice as many lines as statistics are held of at a time.
const SITES: u64 = 104_000;

/// A pod has 256 MiB; a quarter of it is plenty for what holds a page of rows at a time.
const BOUND_MB: f64 = 64.0 * 1.048_576;

/// As `drain` and `maintain` would leave them: every fourth site is down and was an hour ago, every
/// seventh was down for half of a day last week.
const FILL: &str = "
    insert into locations (name) values ('default');
    insert into websites (name, url, labels)
    select 'site-' || to_char(n, 'FM000000'), 'https://' || n || '.example/' || repeat('x', 100),
        jsonb_build_object('team', n % 13, 'number', n::text)
    from generate_series(1, 104000) as n;
    insert into checks (checked_at, website_id, location_id, total_us, outcome, status, redirects, attempts,
        up, maintenance, error)
    select date_trunc('hour', now(), 'UTC') + n * interval '1 microsecond', n, 1, 50000, (n % 4 = 0)::integer, 200, 0, 1,
        n % 4 <> 0, false, case when n % 4 = 0 then repeat('what went wrong ', 20) end
    from generate_series(1, 104000) as n;
    insert into website_states (website_id, location_id, checked_at, first_known_at, last_up_at, last_down_at,
        outcome, up, certificate_not_after)
    select website_id, location_id, checked_at, checked_at - interval '9 days',
        case when up then checked_at end, case when not up then checked_at end, outcome, up,
        now() + interval '20 days'
    from checks;
    insert into dirty_hours (hour) values (date_trunc('hour', now(), 'UTC'));
    select create_rollup_partitions(current_date - 10, current_date);
    insert into checks_daily (day, website_id, location_id, checks, up, down, unknown, maintenance, outcomes,
        first_at, last_at)
    select day, n, 1, 100, case when n % 7 = 0 then 50 else 100 end, case when n % 7 = 0 then 50 else 0 end, 0, 0, '{}',
        day, day + interval '1 hour'
    from generate_series(1, 104000) as n,
        (select (now() at time zone 'UTC')::date - 3 as day) as one;
    insert into response_times_hourly (hour, website_id, location_id, total, dns, connect, tls, first_byte, body)
    select hour, n, 1, array(select histogram_element(200 + bucket, 3) from generate_series(0, 24) as bucket),
        '{}', '{}', '{}', '{}', '{}'
    from generate_series(1, 104000) as n,
        generate_series(2, 3) as ago,
        lateral (select date_trunc('hour', now(), 'UTC') - ago * interval '1 hour' as hour) as one;
    insert into outages_hourly (hour, started_at, last_down_at, website_id, checks, location_id, outcome,
        follows_up, error)
    select hour, hour, hour + interval '1 minute', n, 2, 1, 1, true, repeat('what went wrong ', 20)
    from generate_series(4, 104000, 4) as n,
        (select date_trunc('hour', now(), 'UTC') - interval '1 hour' as hour) as one;
    analyze";

/// Runs `report` into a file; returns what it wrote.
fn report(prepared: &Prepared, directory: &Path, variables: &[(&str, &str)]) -> String {
    let path = directory.join("report");
    let run = prepared
        .report()
        .vars(variables.iter().copied())
        .var("REPORT_STALE_AFTER", "10d")
        .var("REPORT_OUTPUT", &path)
        .timeout(Duration::from_secs(600))
        .spawn();
    let peak_mb = memory::peak_of(run.pid());
    run.wait().exits(0);
    assert!(peak_mb > 1.0, "nothing was measured");
    eprintln!("{peak_mb:.1} MB: {variables:?}");
    assert!(peak_mb < BOUND_MB, "{variables:?}: {peak_mb:.1} MB");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn memory_is_bounded_for_any_number_of_sites_and_every_line_is_right() {
    let prepared = Prepared::new("report");
    prepared.client().batch_execute(FILL).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let report = |variables: &[(&str, &str)]| report(&prepared, directory.path(), variables);

    let sites = report(&[("REPORT_FORMAT", "json")]);
    let mut seen = 0;
    let mut before = (String::new(), String::new());
    for line in sites.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let site = line["site"].as_str().unwrap().to_owned();
        let number: u64 = site.trim_start_matches("site-").parse().unwrap();
        let state = if number.is_multiple_of(4) {
            "down"
        } else {
            "up"
        };
        assert_eq!(line["state"], state, "{site}");
        // A hundred checks last week, and the one of today.
        let last_week = if number.is_multiple_of(7) { 50 } else { 100 };
        let uptime = 100.0 * f64::from(last_week + i32::from(state == "up")) / 101.0;
        let told = line["uptime_7d"].as_f64().unwrap();
        assert!((told - uptime).abs() < 1e-9, "{site}: {told}");
        assert!(line["p50_us"].as_i64().is_some(), "{site}");
        let place = (state.to_owned(), site);
        assert!(before < place, "{before:?} before {place:?}");
        before = place;
        seen += 1;
    }
    assert_eq!(seen, SITES);

    let table = report(&[]);
    assert_eq!(table.lines().count() as u64, SITES + 1);
    let column = table.lines().next().unwrap().find("state");
    for line in table.lines().skip(1) {
        let at = line.find(" down ").or(line.find(" up "));
        assert_eq!(at.map(|at| at + 1), column, "{line}");
    }
    let page = report(&[("REPORT_FORMAT", "html")]);
    assert_eq!(page.matches("<article").count(), 10_000);
    assert!(page.contains("<p class=\"quiet\">Not drawn here: 16000 down, 78000 up</p>"));
    assert!(page.contains(">26000 of 104000 sites are down<"));
    // Certificates, all of which expire soon.
    assert!(page.contains("<p class=\"quiet\">And 103000 more.</p>"));
    assert!(page.len() < 12_000_000, "{} bytes", page.len());

    // In groups of thirteen, and in one of each site: those with something down before all others.
    let grouped = |label: &str| {
        report(&[
            ("REPORT_FORMAT", "html"),
            ("REPORT_GROUP_BY", label),
            ("REPORT_STATE", "up"),
        ])
    };
    let page = grouped("team");
    assert_eq!(page.matches("<details class=\"group\">").count(), 13);
    assert_eq!(
        page.matches("> <span class=\"quiet\">6000 up</span>")
            .count(),
        13
    );
    assert_eq!(
        page.matches("<p class=\"quiet\">Not drawn here: 5231 up</p>")
            .count(),
        13
    );
    let page = grouped("number");
    assert_eq!(page.matches("<details class=\"group\">").count(), 1_000);
    assert!(page.contains("<p class=\"quiet\">Not drawn here: 77000 up</p>"));
    assert!(page.len() < 12_000_000, "{} bytes", page.len());

    let metrics = report(&[("REPORT_FORMAT", "prometheus")]);
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with("sitewatch_site_up{"));
    assert_eq!(samples.count() as u64, SITES);

    for (kind, lines) in [
        ("recent", 100_000),
        ("incidents", SITES / 4),
        ("days", SITES),
        ("sla", SITES),
    ] {
        let shown = report(&[
            ("REPORT_KIND", kind),
            ("REPORT_FORMAT", "csv"),
            ("REPORT_SINCE", "9d"),
        ]);
        assert_eq!(shown.lines().count() as u64, lines + 1, "{kind}");
    }
}
