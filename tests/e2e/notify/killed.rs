//! Killed at every step, started twice, PostgreSQL restarted: each is told, under one key, and
//! nothing is left undecided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sitewatch_tests::command::Signal;
use sitewatch_tests::postgres::Postgres;
use sitewatch_tests::websites::{Behaviour, Page, Website};
use sitewatch_tests::{shared, wait};

use super::trap::Trap;
use super::{bodies, make_due, record, told, webhook};
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
fn killed_at_every_step_it_tells_each_under_one_key() {
    const KILLS: usize = 200;
    let prepared = Prepared::new("notify");
    let trap = Arc::new(Trap::default());
    let receivers = [trap.receiver(), trap.receiver()];
    let urls = format!(
        "{}#name=one {}#name=two",
        webhook(&receivers[0]),
        webhook(&receivers[1])
    );
    let server = shared::postgres().port();
    let through_the_trap = prepared.url().replace(
        &format!(":{server}/"),
        &format!(":{}/", trap.postgres(server)),
    );
    let notify = || prepared.notify(&urls).var("NOTIFY_FLAP_WINDOW", "0s");
    let held = || {
        notify()
            .var("DATABASE_URL", &through_the_trap)
            .var("DATABASE_SSLMODE", "disable")
    };
    let sites = ["blog", "shop"];
    let mut changes = 0;
    let mut change = || {
        let seconds_ago = 3_000 - 10 * i64::try_from(changes).unwrap();
        let event = if changes % 2 == 0 { down } else { up };
        record(&prepared, &sites.map(|site| event(site, seconds_ago)));
        make_due(&prepared);
        changes += 1;
    };
    change();
    held().run().exits(0);
    let steps = trap.steps();
    // What it takes to connect, decide, take, send and mark.
    assert!(steps > 30, "{steps}");
    let (mut killed, mut at, mut beside) = (0, BTreeSet::new(), 0);
    for attempt in 0..KILLS * 5 / 4 {
        change();
        let step = 1 + attempt % steps;
        trap.set(step);
        let mut run = held().spawn();
        wait::until("it is held, or over", wait::SOON, || {
            trap.holds() || run.has_ended()
        });
        let is_held = trap.holds();
        // Another one, which may have to wait for what this one has locked.
        let other = (is_held && attempt % 4 == 0).then(|| notify().spawn());
        run.signal(Signal::KILL);
        let finished = run.wait();
        trap.release();
        if let Some(other) = other {
            other.wait().exits(0);
            beside += 1;
        }
        if is_held && finished.signal.is_some() {
            killed += 1;
            at.insert(step);
        }
        if killed == KILLS {
            break;
        }
    }
    assert_eq!(killed, KILLS, "kills of a run that was held");
    assert!(at.len() > steps * 9 / 10, "at {} of {steps}", at.len());
    assert!(beside >= KILLS / 5, "{beside} with another one beside");
    trap.set(0);
    make_due(&prepared);
    notify().run().exits(0);
    for receiver in &receivers {
        let keys = keys(receiver);
        assert_eq!(keys.len(), changes * sites.len());
        for (event, keys) in &keys {
            assert_eq!(keys.len(), 1, "{event:?}");
        }
    }
    assert_eq!(
        prepared.count("select count(*) from notifications where sent_at is null"),
        0
    );
    // What is decided is what is so.
    let open =
        "select count(*) from notified_incidents where closed_at is null and kind = 'availability'";
    let are_down = if changes % 2 == 1 { sites.len() } else { 0 };
    assert_eq!(prepared.count(open), are_down as i64);
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
