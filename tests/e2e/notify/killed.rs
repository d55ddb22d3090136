//! Killed at any instant, started twice, PostgreSQL restarted: each is told, under one key, and
//! nothing is left undecided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sitewatch_tests::command::Signal;
use sitewatch_tests::postgres::Postgres;
use sitewatch_tests::wait;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{bodies, make_due, record, told, webhook};
use crate::dice::Dice;
use crate::support::{Prepared, down, up};

/// A receiver that takes a moment, so that a kill may come before, while and after it answers.
fn receiver() -> Website {
    Website::start(Behaviour::Slow {
        delay: Duration::from_millis(5),
        page: Page::ok("taken"),
    })
}

/// The keys under which each incident's events arrived.
fn keys(receiver: &Website) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut keys: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for body in bodies(receiver) {
        for incident in body["incidents"].as_array().unwrap() {
            let event = body["event"].as_str().unwrap().to_owned();
            let incident = incident["key"].as_str().unwrap().to_owned();
            let key = body["key"].as_str().unwrap().to_owned();
            keys.entry((incident, event)).or_default().insert(key);
        }
    }
    keys
}

#[test]
fn killed_at_any_instant_it_tells_each_under_one_key() {
    const KILLS: usize = 60;
    let mut dice = Dice::new("notify");
    let prepared = Prepared::new("notify");
    let receivers = [receiver(), receiver()];
    let urls = format!(
        "{}#name=one {}#name=two",
        webhook(&receivers[0]),
        webhook(&receivers[1])
    );
    let notify = || prepared.notify(&urls).var("NOTIFY_FLAP_WINDOW", "0s");
    let mut lifetime = Duration::ZERO;
    let mut at_work = 0;
    for kill in 0..=KILLS {
        let ago = 2_500 - 40 * i64::try_from(kill).unwrap();
        let sites: Vec<String> = (0..4).map(|number| format!("site-{number}")).collect();
        let events: Vec<_> = sites
            .iter()
            .map(|site| {
                if kill % 2 == 0 {
                    down(site, ago)
                } else {
                    up(site, ago)
                }
            })
            .collect();
        record(&prepared, &events);
        make_due(&prepared);
        let run = notify().spawn();
        if kill > 0 {
            let instant = Duration::from_micros(dice.between(0, lifetime.as_micros() as u64));
            std::thread::sleep(instant);
            run.signal(Signal::KILL);
        }
        let finished = run.wait();
        if kill == 0 {
            lifetime = finished.elapsed;
        }
        at_work += usize::from(finished.signal.is_some());
    }
    assert!(at_work >= KILLS / 4, "only {at_work} kills met a run");
    make_due(&prepared);
    notify().run().exits(0);
    for receiver in &receivers {
        let keys = keys(receiver);
        // 31 times down and 30 times up, at each of four sites.
        assert_eq!(keys.len(), 61 * 4);
        for (event, keys) in &keys {
            assert_eq!(keys.len(), 1, "{event:?}");
        }
    }
    assert_eq!(
        prepared.count("select count(*) from notifications where sent_at is null"),
        0
    );
    // What is decided is what is so.
    assert_eq!(
        prepared.count("select count(*) from notified_incidents where closed_at is null and kind = 'availability'"),
        4
    );
}

#[test]
fn several_at_once_tell_each_once() {
    let prepared = Prepared::new("notify");
    let receiver = receiver();
    let sites: Vec<_> = (0..20).map(|number| format!("site-{number}")).collect();
    for round in 0..5 {
        let ago = 500 - round * 60;
        let events: Vec<_> = sites
            .iter()
            .map(|site| {
                if round % 2 == 0 {
                    down(site, ago)
                } else {
                    up(site, ago)
                }
            })
            .collect();
        record(&prepared, &events);
        let running: Vec<_> = (0..4)
            .map(|_| {
                prepared
                    .notify(&webhook(&receiver))
                    .var("NOTIFY_GROUP_OVER", "0")
                    .var("NOTIFY_FLAP_WINDOW", "0s")
                    .spawn()
            })
            .collect();
        for run in running {
            run.wait().exits(0);
        }
        assert_eq!(told(&receiver).len() as i64, (round + 1) * 20);
    }
}

#[test]
fn a_postgresql_that_is_restarted_meanwhile_makes_nothing_told_twice() {
    let server = Postgres::options().start();
    let prepared = Prepared::on(&server, "notify");
    let slow = Website::start(Behaviour::Slow {
        delay: Duration::from_secs(2),
        page: Page::ok("taken"),
    });
    record(&prepared, &[down("shop", 70)]);
    let run = prepared.notify(&webhook(&slow)).spawn();
    wait::until("it is sent", wait::SOON, || !slow.requests().is_empty());
    server.restart();
    run.wait().exits(0);
    make_due(&prepared);
    prepared.notify(&webhook(&slow)).run().exits(0);
    assert_eq!(told(&slow), ["down shop"]);
}
