//! JSON lines on standard input, without any Kafka.

use sitewatch_tests::command::Run;

use crate::support::{Prepared, down, last_line, lines, up};

#[test]
fn lines_are_recorded_and_repeats_counted() {
    let prepared = Prepared::new("stdin");
    let events = [up("a", 60), down("a", 30), up("b", 60)];
    let drain = || {
        let finished = prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .stdin(lines(&events))
            .run()
            .exits(0);
        last_line(&finished.stderr)
    };
    assert_eq!(drain(), "3 checks recorded");
    assert_eq!(drain(), "0 checks recorded, 3 repeated");
    assert_eq!(
        prepared
            .checks()
            .iter()
            .map(|(site, _, word)| format!("{site} {word}"))
            .collect::<Vec<_>>(),
        ["a up", "a status", "b up"]
    );
}

#[test]
fn a_partly_repeated_batch_records_the_rest() {
    let prepared = Prepared::new("stdin");
    let mut events = vec![up("a", 60), up("b", 60), up("b", 60)];
    let drain = |events: &[_]| {
        let finished = prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .stdin(lines(events))
            .run()
            .exits(0);
        last_line(&finished.stderr)
    };
    // The same site, location and microsecond twice is one check.
    events[2].checked_at = events[1].checked_at;
    assert_eq!(drain(&events), "2 checks recorded, 1 repeated");
    events.push(up("c", 60));
    assert_eq!(drain(&events), "1 check recorded, 3 repeated");
}

#[test]
fn lines_that_are_no_events_are_kept_with_their_number_and_reason() {
    let prepared = Prepared::new("stdin");
    let mut input = b"\n{\"v\":1}\n".to_vec();
    input.extend(lines(&[up("a", 60)]));
    input.extend(b"\xff\xfe\n");
    input.extend(vec![b'x'; 2 << 20]);
    input.extend(b"\n");
    input.extend(lines(&[up("b", 60)]));
    let finished = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(input)
        .run()
        .exits(0);
    assert_eq!(
        last_line(&finished.stderr),
        "2 checks recorded, 3 dead-lettered"
    );
    let reasons: Vec<_> = prepared.reasons().into_iter().collect();
    assert_eq!(
        reasons,
        [
            (
                (None, Some(2)),
                "not a check event: missing field `id` at line 1 column 7".to_owned()
            ),
            ((None, Some(4)), "not UTF-8 from byte 0".to_owned()),
            (
                (None, Some(5)),
                "the line is longer than 1048576 bytes, which is the most an event has; the rest of it is not kept".to_owned()
            ),
        ]
    );
    assert_eq!(
        prepared.count("select max(length(value))::int8 from dead_letters"),
        1 << 20
    );
}

#[test]
fn what_is_wrong_is_said_at_once_and_nothing_is_touched() {
    Run::drain()
        .var("DRAIN_SOURCE", "carrier pigeon")
        .var("DRAIN_BATCH_SIZE", "0")
        .var("KAFKA_BROKERS", "k")
        .run()
        .exits(78)
        .logs(r#"ERROR drain: 3 problems in the configuration
  DRAIN_SOURCE is "carrier pigeon"; wants kafka or stdin, for example stdin
  DRAIN_BATCH_SIZE is "0": not from 1 to 1000000; wants a whole number from 1 to 1000000, for example 60000
  DATABASE_URL is not set; wants a PostgreSQL connection URL or string, for example DATABASE_URL=postgres://sitewatch:secret@localhost:5432/sitewatch (or DATABASE_URL_FILE=path)
ERROR drain: see `drain --help` for every variable it reads (exit code 78)
"#);
}

#[test]
fn drains_that_need_the_same_new_days_at_once_make_them_once() {
    let prepared = Prepared::new("days");
    let runs: Vec<_> = (0..6)
        .map(|run| {
            let events: Vec<_> = (20..40)
                .map(|day| up(&format!("site{run}"), day * 86_400))
                .collect();
            prepared
                .drain()
                .var("DRAIN_SOURCE", "stdin")
                .stdin(lines(&events))
                .spawn()
        })
        .collect();
    for run in runs {
        run.wait().exits(0);
    }
    assert_eq!(prepared.count("select count(*) from checks"), 120);
}

#[test]
fn large_lines_are_recorded_a_few_at_a_time() {
    let prepared = Prepared::new("stdin");
    let mut input = Vec::new();
    for second in 0..30 {
        let mut line = up("a", second).to_json();
        line.resize(1_000_000, b' ');
        input.extend(line);
        input.push(b'\n');
    }
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(input)
        .run()
        .exits(0);
    assert_eq!(prepared.count("select count(*) from checks"), 30);
    // Thirteen of them are more than 12 MiB.
    assert_eq!(
        prepared.count("select count(distinct xmin::text) from checks"),
        3
    );
}
