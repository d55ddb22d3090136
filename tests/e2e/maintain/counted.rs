//! Counts, percentiles, late checks.

use jiff::{SignedDuration, Timestamp};
use sitewatch::event::{CheckEvent, Outcome};

use super::{at, hours_ago, minutes, record};
use crate::support::{Prepared, down, last_line, up};

#[test]
fn an_hour_and_a_day_are_counted_and_percentiles_are_within_their_error() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(50);
    let mut taken: Vec<u32> = (0..59)
        .map(|minute| 20_000 + minute * minute * 700)
        .collect();
    let mut events: Vec<CheckEvent<'_>> = (0..59)
        .zip(&taken)
        .map(|(minute, taken)| CheckEvent {
            total_us: *taken,
            ..at(up("shop", 0), zero + minutes(minute))
        })
        .collect();
    // A timeout's time is no response time; what is unknown or in maintenance is not counted.
    events.push(CheckEvent {
        outcome: Outcome::Timeout,
        status: None,
        total_us: 10_000_000,
        ..at(down("shop", 0), zero + SignedDuration::from_secs(30))
    });
    events.push(CheckEvent {
        up: None,
        outcome: Outcome::Local,
        status: None,
        ..at(up("shop", 0), zero + SignedDuration::from_secs(31))
    });
    events.push(CheckEvent {
        maintenance: true,
        ..at(down("shop", 0), zero + SignedDuration::from_secs(32))
    });
    record(&prepared, &events);
    let said = last_line(&prepared.maintain().run().exits(0).stderr);
    assert!(
        said.starts_with("1 hour rolled up, 1 day rolled up"),
        "{said}"
    );

    for table in ["checks_hourly", "checks_daily"] {
        let row = prepared
            .client()
            .query_one(
                &format!(
                    "select checks, up, down, unknown, maintenance, histogram_count(outcomes),
                        first_at, last_at
                     from {table}"
                ),
                &[],
            )
            .unwrap();
        let counts: Vec<i32> = (0..5).map(|column| row.get(column)).collect();
        assert_eq!(counts, [62, 59, 1, 1, 1], "{table}");
        assert_eq!(row.get::<_, i64>(5), 61, "{table}");
        assert_eq!(row.get::<_, Timestamp>(6), zero, "{table}");
        assert_eq!(row.get::<_, Timestamp>(7), zero + minutes(58), "{table}");
    }
    taken.sort_unstable();
    for table in ["response_times_hourly", "response_times_daily"] {
        for (fraction, exact) in [(0.5, taken[29]), (0.95, taken[56]), (0.99, taken[58])] {
            let found: f64 = prepared
                .client()
                .query_one(
                    &format!("select histogram_percentile(total, $1) from {table}"),
                    &[&fraction],
                )
                .unwrap()
                .get(0);
            let off = (found / f64::from(exact) - 1.0).abs();
            assert!(
                off <= 0.0217,
                "{table} p{fraction}: {found} for {exact}, {off}"
            );
        }
        assert_eq!(
            prepared.count(&format!(
                "select histogram_count(total) + 1000 * histogram_count(tls) from {table}"
            )),
            59_059
        );
    }
    assert_eq!(
        last_line(&prepared.maintain().run().exits(0).stderr),
        "nothing to do"
    );
}

#[test]
fn a_late_check_ends_up_in_its_own_hour_and_day() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(72);
    record(&prepared, &[at(up("shop", 0), zero)]);
    prepared.maintain().run().exits(0);
    record(
        &prepared,
        &[
            at(down("shop", 0), zero + minutes(5)),
            at(up("new", 0), zero + minutes(6)),
        ],
    );
    prepared.maintain().run().exits(0);
    for table in ["checks_hourly", "checks_daily"] {
        assert_eq!(
            prepared.count(&format!("select sum(up * 10 + down) from {table}")),
            21,
            "{table}"
        );
    }
}

#[test]
fn a_terminal_shows_how_far_it_is_and_a_pipe_does_not() {
    let prepared = Prepared::new("maintain");
    let events: Vec<_> = (1..40)
        .map(|hours| at(up("a", 0), hours_ago(hours)))
        .collect();
    record(&prepared, &events);
    let shown = prepared.maintain().on_terminal(100).run().exits(0).stdout;
    assert!(shown.contains("rolling up hours: "), "{shown}");
    assert!(shown.contains(" of 39 "), "{shown}");
    record(&prepared, &[at(up("a", 0), hours_ago(50))]);
    let piped = prepared.maintain().run().exits(0);
    assert!(!piped.stderr.contains("rolling up"), "{}", piped.stderr);
}
