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

/// `maintain` counts what is over, SQL what is not: both must mean the same.
#[test]
fn a_response_time_falls_into_the_bucket_that_sql_has_for_it() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(3);
    let mut around_edges: Vec<u32> = (0..=460)
        .map(|bucket| f64::from(bucket) / 16.0)
        .flat_map(|doublings| {
            let edge = doublings.exp2() as u32;
            [edge.saturating_sub(1), edge, edge + 1]
        })
        .collect();
    around_edges.sort_unstable();
    around_edges.dedup();
    let events: Vec<CheckEvent<'_>> = (0..)
        .zip(&around_edges)
        .map(|(number, taken)| CheckEvent {
            total_us: *taken,
            dns_us: None,
            connect_us: None,
            tls_us: None,
            first_byte_us: None,
            body_us: None,
            ..at(up("shop", 0), zero + SignedDuration::from_secs(number))
        })
        .collect();
    record(&prepared, &events);
    prepared.maintain().run().exits(0);
    assert_eq!(
        prepared.count("select sum(checks) from checks_hourly"),
        events.len() as i64
    );
    let differing = "select count(*) from (
             select histogram_element(histogram_bucket(total_us), count(*)) as element
             from checks group by histogram_bucket(total_us)
         ) as of_sql
         full join (select unnest(total) as element from response_times_hourly) as stored using (element)
         where of_sql is null or stored is null";
    assert_eq!(prepared.count(differing), 0);
}
