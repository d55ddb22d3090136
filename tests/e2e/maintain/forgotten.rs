//! What goes because nobody has named it for long: sites of events, locations, dead letters.

use std::time::Duration;

use sitewatch_tests::kafka::Version;
use sitewatch_tests::{shared, wait};

use crate::support::{Prepared, last_line, lines, unique, up};

/// A recent check of a site that a person entered, and three that were quiet for a while: each with
/// a state and rollups.
fn prepared() -> Prepared {
    let prepared = Prepared::new("forgotten");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("busy", 60)]))
        .run()
        .exits(0);
    prepared
        .client()
        .batch_execute(
            "insert into locations (name) values ('closed');
             insert into websites (name, url, origin, enabled, created_at) values
                 ('quiet', 'https://q.example/', 'event', false, now() - interval '500 days'),
                 ('recent', 'https://r.example/', 'event', false, now() - interval '500 days'),
                 ('entered', 'https://e.example/', 'list', true, now() - interval '500 days');
             insert into website_states (website_id, location_id, checked_at, outcome, up)
             select websites.id, locations.id, at, 0, true
             from (values
                 ('quiet', 'closed', 400), ('quiet', 'default', 400), ('recent', 'default', 300),
                 ('entered', 'default', 400)
             ) as old (site, location, days)
             join websites on websites.name = site
             join locations on locations.name = location
             cross join lateral (select now() - make_interval(days => days) as at) as clock;
             select create_rollup_partitions(current_date - 400, current_date - 299);
             insert into checks_daily (day, website_id, location_id, checks, up, down, unknown, maintenance, outcomes, first_at, last_at)
             select checked_at::date, website_id, location_id, 1, 1, 0, 0, 0, '{}', checked_at, checked_at
             from website_states where checked_at < now() - interval '200 days';
             insert into dead_letters (value, reason, recorded_at) values
                 ('a', 'old', now() - interval '92 days'), ('b', 'new', now() - interval '88 days')",
        )
        .unwrap();
    prepared
}

fn names(prepared: &Prepared, table: &str) -> Vec<String> {
    prepared
        .client()
        .query(&format!("select name from {table} order by name"), &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn sites_of_events_and_locations_go_with_everything_of_theirs() {
    let prepared = prepared();
    let finished = prepared.maintain().run().exits(0);
    assert!(
        last_line(&finished.stderr)
            .contains("2 sites and locations forgotten, 1 old dead letter removed"),
        "it {finished}"
    );
    assert_eq!(names(&prepared, "websites"), ["busy", "entered", "recent"]);
    assert_eq!(names(&prepared, "locations"), ["default"]);
    assert_eq!(prepared.count("select count(*) from website_states"), 3);
    assert_eq!(prepared.count("select count(*) from checks_daily"), 2);
    assert_eq!(prepared.count("select count(*) from dead_letters"), 1);
    // And once only.
    let finished = prepared.maintain().run().exits(0);
    assert!(!finished.stderr.contains("forgotten"), "it {finished}");
}

#[test]
fn how_long_is_the_operators_to_say() {
    let prepared = prepared();
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_SITES", "450d")
        .var("MAINTAIN_KEEP_DEAD_LETTERS", "100d")
        .run()
        .exits(0);
    assert_eq!(names(&prepared, "websites").len(), 4);
    assert_eq!(prepared.count("select count(*) from dead_letters"), 2);
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_SITES", "200d")
        .run()
        .exits(0);
    assert_eq!(names(&prepared, "websites"), ["busy", "entered"]);
    prepared
        .maintain()
        .var("MAINTAIN_KEEP_SITES", "100d")
        .run()
        .exits(78)
        .logs(r#"ERROR maintain: MAINTAIN_KEEP_SITES is 100d, shorter than MAINTAIN_KEEP_HOURLY (180d); wants 180d or more
ERROR maintain: see `maintain --help` for every variable it reads (exit code 78)
"#);
}

/// The site goes while a drain that knows its id is between two batches: no check is recorded for a
/// site that is not there.
#[test]
fn a_drain_does_not_record_for_a_site_that_was_forgotten_meanwhile() {
    const TIMEOUT: Duration = Duration::from_secs(60);
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("forgotten");
    kafka.create_topic(&topic, 1);
    let messages: Vec<_> = (0..5_000)
        .map(|second| ("k", up("ghost", second).to_json()))
        .collect();
    kafka.produce(&topic, 0, &messages);
    let prepared = Prepared::new("forgotten");
    let drain = || {
        prepared
            .drain()
            .var("KAFKA_BROKERS", kafka.bootstrap())
            .var("KAFKA_TOPIC", &topic)
    };
    let run = drain().var("DRAIN_BATCH_SIZE", "5").spawn();
    wait::until("a batch is recorded", TIMEOUT, || {
        prepared.count("select count(*) from checks") > 0
    });
    let mut client = prepared.client();
    // A site with checks stays, whoever asks.
    let error = client
        .batch_execute("delete from websites where name = 'ghost'")
        .unwrap_err();
    let text = error.as_db_error().unwrap().message().to_owned();
    assert!(text.contains("checks may refer to them"), "{text}");
    // As if they had been dropped with their days.
    client
        .batch_execute(
            "begin;
             select pg_advisory_xact_lock(hashtextextended('sitewatch.names', 0));
             create temporary table gone as select count(*) as checks from checks;
             delete from checks;
             delete from website_states;
             delete from websites where name = 'ghost';
             commit",
        )
        .unwrap();
    run.wait().exits(75).logs("ERROR drain: maintain forgot sites or locations that nothing named for long, while this run remembered ids; the rest is left to the next run, which asks for them anew (exit code 75)\n");
    assert_eq!(prepared.count("select count(*) from checks"), 0);
    drain().run().exits(0);
    let gone: i64 = client
        .query_one("select checks from gone", &[])
        .unwrap()
        .get(0);
    assert_eq!(
        prepared.count("select count(*) from checks join websites on websites.id = website_id"),
        5_000 - gone
    );
}
