//! Names that come in events: how many there may be, and how they go again.

use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;
use sitewatch_tests::kafka::Version;
use sitewatch_tests::shared;

use crate::support::{Prepared, last_line, lines, unique, up};

fn at(site: &str, location: &str) -> CheckEvent<'static> {
    CheckEvent {
        location: location.to_owned().into(),
        ..up(site, 60)
    }
}

fn piped(prepared: &Prepared, events: &[CheckEvent<'_>]) -> Run {
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(events))
}

#[track_caller]
fn dead_letters(prepared: &Prepared, reason: &str) -> i64 {
    prepared.count(&format!(
        "select count(*) from dead_letters where reason like '%{reason}%'"
    ))
}

#[test]
fn new_sites_are_limited_per_run_and_in_all_and_known_ones_never() {
    let kafka = shared::kafka(Version::V4_1);
    let topic = unique("names");
    kafka.create_topic(&topic, 2);
    for partition in 0..2 {
        let messages: Vec<_> = (0..100)
            .map(|number| {
                let event = up(&format!("forged-{partition}-{number}"), number);
                ("k", event.to_json())
            })
            .chain([("k", up("entered", i64::from(partition)).to_json())])
            .collect();
        kafka.produce(&topic, partition, &messages);
    }
    let prepared = Prepared::new("names");
    prepared
        .client()
        .batch_execute(
            "insert into websites (name, url) values ('entered', 'https://entered.example/')",
        )
        .unwrap();
    let finished = prepared
        .drain()
        .var("KAFKA_BROKERS", kafka.bootstrap())
        .var("KAFKA_TOPIC", &topic)
        .var("DRAIN_BATCH_SIZE", "20")
        .var("DRAIN_MAX_NEW_SITES", "50")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "52 checks recorded, 150 dead-lettered"
    );
    assert_eq!(dead_letters(&prepared, "DRAIN_MAX_NEW_SITES=50"), 150);
    assert_eq!(prepared.count("select count(*) from websites"), 51);

    // The limit in all; and what was refused is taken once there is room.
    let replay = |limit: &str| {
        let finished = prepared
            .drain()
            .var("DRAIN_REPLAY_DEAD_LETTERS", "true")
            .var("DRAIN_MAX_SITES", limit)
            .var("KAFKA_BROKERS", "nobody.invalid")
            .run()
            .exits(0);
        last_line(&finished.stderr)
    };
    assert_eq!(
        replay("70"),
        "20 dead letters recorded, 0 were recorded already, 130 cannot be recorded still"
    );
    let finished = piped(&prepared, &[up("one-more", 1), up("entered", 100)])
        .var("DRAIN_MAX_SITES", "70")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "1 check recorded, 1 dead-lettered"
    );
    assert_eq!(dead_letters(&prepared, "DRAIN_MAX_SITES=70"), 1);
    assert_eq!(
        replay("1000"),
        "131 dead letters recorded, 0 were recorded already, 0 cannot be recorded still"
    );
}

#[test]
fn new_locations_likewise_and_a_smallint_is_never_used_up() {
    let prepared = Prepared::new("names");
    let forged: Vec<_> = (0..300)
        .map(|number| at("a", &format!("forged-{number}")))
        .collect();
    let finished = piped(&prepared, &forged).run().exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "100 checks recorded, 200 dead-lettered"
    );
    assert_eq!(dead_letters(&prepared, "DRAIN_MAX_NEW_LOCATIONS=100"), 200);
    let finished = piped(&prepared, &forged[200..])
        .var("DRAIN_MAX_LOCATIONS", "120")
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "20 checks recorded, 80 dead-lettered"
    );
    assert_eq!(dead_letters(&prepared, "DRAIN_MAX_LOCATIONS=120"), 80);
    // However many transactions were undone: an id is given out once it is used.
    prepared
        .client()
        .batch_execute("select setval(pg_get_serial_sequence('locations', 'id'), 32767)")
        .unwrap();
    piped(&prepared, &[at("a", "another")]).run().exits(0);
    assert_eq!(prepared.count("select max(id)::int8 from locations"), 121);
}

/// A flood with the release's own limits: it fills neither table, and good events go on.
#[test]
fn a_flood_of_forged_locations_does_not_stop_recording() {
    let prepared = Prepared::new("names");
    // Its location is known before the flood, whatever a batch holds.
    let mut events = vec![up("b", 1)];
    events.extend((0..9_000).map(|number| at("a", &format!("forged-{number}"))));
    piped(&prepared, &events).run().exits(0);
    piped(&prepared, &[up("b", 2)]).run().exits(0);
    assert_eq!(
        prepared.count(
            "select count(*) from checks join websites on websites.id = website_id where name = 'b'"
        ),
        2
    );
    assert!(prepared.count("select count(*) from locations") <= 101);
}
