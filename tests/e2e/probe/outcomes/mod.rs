//! A table of misbehaving websites, a named row each; every outcome has at least one.

mod bodies;
mod connections;
mod heads;

pub(super) use bodies::{endless, gzip};

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sitewatch::event::Outcome;
use sitewatch_tests::command::Run;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{assert_is, events, plain, probe, site};

/// A website, what its site says beyond name and URL, and what comes of it.
struct Row {
    name: &'static str,
    /// Runs as long as its row is there.
    _website: Option<Website>,
    url: String,
    more: Value,
    outcome: Outcome,
    error: &'static str,
}

fn row(
    name: &'static str,
    behaviour: Behaviour,
    more: Value,
    outcome: Outcome,
    error: &'static str,
) -> Row {
    let website = Website::start(behaviour);
    let url = website.url();
    Row {
        name,
        _website: Some(website),
        url,
        more,
        outcome,
        error,
    }
}

fn url_row(
    name: &'static str,
    url: &str,
    more: Value,
    outcome: Outcome,
    error: &'static str,
) -> Row {
    Row {
        name,
        _website: None,
        url: url.to_owned(),
        more,
        outcome,
        error,
    }
}

fn page(body: &str) -> Behaviour {
    Behaviour::Page(Page::ok(body))
}

fn status(status: u16) -> Behaviour {
    Behaviour::Page(Page::new(status, "text"))
}

fn with_header(body: impl Into<Vec<u8>>, name: &str, value: &str) -> Behaviour {
    Behaviour::Page(Page::ok(body).header(name, value))
}

fn redirect(to: &str, hops: u32) -> Behaviour {
    Behaviour::Redirect {
        to: to.to_owned(),
        hops,
    }
}

#[test]
fn every_row_has_its_outcome_and_every_outcome_has_a_row() {
    let mut seen = BTreeSet::new();
    let rows: Vec<Row> = [
        bodies::rows(),
        heads::rows(),
        connections::redirects(),
        connections::secure(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let sites: Vec<Value> = rows
        .iter()
        .map(|row| site(row.name, &row.url, &row.more))
        .collect();
    let finished = probe(&sites).run().exits(0);
    let events = events(&finished);
    let mut wrong = Vec::new();
    for row in &rows {
        let Some(event) = events.get(row.name) else {
            wrong.push(format!("{}: no event", row.name));
            continue;
        };
        seen.insert(event.outcome);
        let said = event.error.as_deref().unwrap_or_default();
        if event.outcome != row.outcome || !said.contains(row.error) {
            wrong.push(format!(
                "{}: {:?} {said:?}, expected {:?} {:?}",
                row.name, event.outcome, row.outcome, row.error
            ));
        }
        let phases = [
            event.dns_us,
            event.connect_us,
            event.tls_us,
            event.first_byte_us,
            event.body_us,
        ];
        if phases.into_iter().flatten().sum::<u32>() != event.total_us {
            wrong.push(format!("{}: phases do not add up: {event:?}", row.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        finished.stderr
    );
    assert!(
        !finished.stdout.contains('\u{1b}'),
        "control characters pass"
    );
    assert!(!finished.stdout.contains("hush"), "a password passes");

    seen.insert(denied());
    seen.insert(local());
    let missing: Vec<Outcome> = Outcome::ALL
        .into_iter()
        .filter(|outcome| !seen.contains(outcome))
        .collect();
    assert!(missing.is_empty(), "no row produces {missing:?}");
}

/// An address that must not be reached: also behind a redirect, and mapped into IPv6.
fn denied() -> Outcome {
    let inside = Website::up("secrets");
    let urls = [
        inside.url(),
        inside.url_on("localhost"),
        inside.url_on("[::ffff:127.0.0.1]"),
    ];
    let sites: Vec<Value> = urls
        .iter()
        .enumerate()
        .map(|(number, url)| site(&number.to_string(), url, &plain()))
        .collect();
    let finished = probe(&sites)
        .var("PROBE_DENY_NETWORKS", "loopback")
        .run()
        .exits(0);
    for event in events(&finished).values() {
        assert_is(event, Outcome::Denied, "PROBE_DENY_NETWORKS forbids");
        assert_eq!(event.up, None);
    }
    let redirecting = Website::start(redirect(&inside.url_on("127.0.0.2"), 1));
    let finished = probe(&[site("site", &redirecting.url(), &plain())])
        .var("PROBE_DENY_NETWORKS", "127.0.0.2/32")
        .run()
        .exits(0);
    let events = events(&finished);
    assert_is(&events["site"], Outcome::Denied, "forbids 127.0.0.2");
    assert_eq!(events["site"].redirects, 1);
    assert_eq!(
        inside.connections(),
        0,
        "the denied address was connected to"
    );
    events["site"].outcome
}

/// No file descriptors left: nothing is known about the sites.
fn local() -> Outcome {
    let hangs = Website::start(Behaviour::NeverAnswers);
    let sites: Vec<Value> = (0..40)
        .map(|number| {
            site(
                &format!("site-{number}"),
                &hangs.url(),
                &json!({"timeout": "1s"}),
            )
        })
        .collect();
    let limited = Run::program("/bin/sh")
        .arg("-c")
        .arg(format!(
            "ulimit -n 24; exec {}",
            Run::probe().executable().display()
        ))
        .var("SITES", Value::from(sites).to_string())
        .var("PROBE_SINK", "stdout")
        .run()
        .exits(0);
    let events = events(&limited);
    let local: Vec<_> = events
        .values()
        .filter(|event| event.outcome == Outcome::Local)
        .collect();
    assert!(!local.is_empty(), "{limited}");
    for event in &local {
        assert_is(event, Outcome::Local, "no file descriptors left");
        assert_eq!(event.up, None);
    }
    Outcome::Local
}
