//! Incidents, put together from their hours.

use jiff::Timestamp;
use sitewatch::event::CheckEvent;

use super::{at, hours_ago, minutes, record};
use crate::support::{Prepared, down, up};

/// Incidents as (site, minutes from `zero` to the opening, minutes to the closing, checks).
fn incidents(prepared: &Prepared, zero: Timestamp) -> Vec<(String, i64, Option<i64>, i64)> {
    prepared
        .client()
        .query(
            "select websites.name,
                (extract(epoch from opened_at - $1) / 60)::int8,
                (extract(epoch from closed_at - $1) / 60)::int8,
                checks
             from find_incidents('-infinity') join websites on websites.id = website_id
             order by 1, 2",
            &[&zero],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

#[test]
fn incidents_are_whole_whatever_the_order_in_which_their_checks_arrive() {
    let zero = hours_ago(30);
    // Down from minute 50 over two ends of hours, up at 180; down again, still so.
    let mut events: Vec<CheckEvent<'_>> = (0..20)
        .map(|step| {
            let minute = step * 10;
            let event = if (5..18).contains(&step) || step == 19 {
                down("shop", 0)
            } else {
                up("shop", 0)
            };
            at(event, zero + minutes(minute))
        })
        .collect();
    events.push(at(down("blog", 0), zero + minutes(59)));
    // An hour without any check lies between.
    events.push(at(up("blog", 0), zero + minutes(125)));
    let expected = [
        ("blog".to_owned(), 59, Some(125), 1),
        ("shop".to_owned(), 50, Some(180), 13),
        ("shop".to_owned(), 190, None, 1),
    ];
    let orders: [fn(&mut Vec<CheckEvent<'_>>); 3] = [
        |_| {},
        |events| events.reverse(),
        |events| events.rotate_left(9),
    ];
    for order in orders {
        let prepared = Prepared::new("maintain");
        order(&mut events);
        for some in events.chunks(5) {
            record(&prepared, some);
            prepared.maintain().run().exits(0);
        }
        assert_eq!(incidents(&prepared, zero), expected);
    }

    // A check that found it up in between, hours late, makes two of one.
    let prepared = Prepared::new("maintain");
    record(&prepared, &events);
    prepared.maintain().run().exits(0);
    record(&prepared, &[at(up("shop", 0), zero + minutes(95))]);
    prepared.maintain().run().exits(0);
    assert_eq!(
        incidents(&prepared, zero)[1..],
        [
            ("shop".to_owned(), 50, Some(95), 5),
            ("shop".to_owned(), 100, Some(180), 8),
            ("shop".to_owned(), 190, None, 1),
        ]
    );
}

#[test]
fn incidents_of_the_running_hour_are_known_before_it_is_rolled_up() {
    let prepared = Prepared::new("maintain");
    let zero = hours_ago(1);
    record(
        &prepared,
        &[
            at(up("shop", 0), zero),
            at(down("shop", 0), zero + minutes(10)),
        ],
    );
    prepared.maintain().run().exits(0);
    let now = Timestamp::now();
    record(&prepared, &[at(up("shop", 0), now)]);
    let found = incidents(&prepared, zero);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].1, found[0].3), (10, 1));
    assert!(found[0].2.is_some(), "{found:?}");
}
