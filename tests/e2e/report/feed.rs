//! The feed of incidents and the badges, read by parsers that are not ours.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sitewatch::event::CheckEvent;
use sitewatch_tests::command::Run;
use sitewatch_tests::python;

use crate::support::{Prepared, down, lines, now, up};

/// What a page, a feed and a picture must show and not obey.
const EVIL: &str = "</title><script>alert(\"1\")</script>&amp;]]>\u{fffe}";

fn filled() -> Prepared {
    let prepared = Prepared::new("feed");
    let evil = CheckEvent {
        error: Some(format!("{EVIL}\u{202e}").into()),
        ..down(EVIL, 300)
    };
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[
            down("shop", 300),
            up("shop", 60),
            CheckEvent {
                url: "https://evil.example/".into(),
                ..evil
            },
            down("old", 40_000),
            up("blog", 60),
        ]))
        .run()
        .exits(0);
    prepared
}

fn feed(prepared: &Prepared, more: &[(&str, &str)]) -> Value {
    let report = prepared.report().var("REPORT_KIND", "incidents");
    let report = report
        .var("REPORT_FORMAT", "atom")
        .vars(more.iter().copied());
    let text = report.run().exits(0).stdout;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/report/feed.py");
    let read = Run::program(python::interpreter()).arg(script).stdin(text);
    read.run().exits(0).stdout.parse().unwrap()
}

#[test]
fn incidents_are_a_feed_that_readers_of_news_take() {
    let prepared = filled();
    let page = [
        ("REPORT_TITLE", EVIL),
        ("REPORT_URL", "https://status.example/?a=1&b=2"),
    ];
    let told = feed(&prepared, &page);
    assert_eq!(
        told["links"],
        serde_json::json!(["https://status.example/?a=1&b=2"])
    );
    let shown = EVIL.replace('\u{fffe}', "\u{fffd}");
    assert_eq!(told["title"], format!("{shown}: incidents"));
    let at = |ago: i64| (now() - SignedDuration::from_secs(ago)).to_string();
    assert_eq!(told["updated"], at(60));
    let entries = told["entries"].as_array().unwrap();
    let titles: Vec<&str> = entries
        .iter()
        .map(|entry| entry["title"].as_str().unwrap())
        .collect();
    let evil = format!("{shown} is down");
    assert_eq!(
        titles,
        [
            evil.as_str(),
            "old was down, and is not checked any more",
            "shop was down for 4 min"
        ]
    );
    let text = entries[0]["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("seen from default: {shown}\\u{{202e}}")),
        "{text}"
    );
    assert_eq!(entries[2]["published"], at(300));
    assert_eq!(entries[2]["updated"], at(60));

    // It stays the same incident when it ends, and another feed's are others.
    let up_again = CheckEvent {
        url: "https://evil.example/".into(),
        ..up(EVIL, 5)
    };
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up_again]))
        .run()
        .exits(0);
    let later = feed(&prepared, &page);
    assert_eq!(later["id"], told["id"]);
    let ended = later["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["id"] == entries[0]["id"])
        .expect("the incident is still there");
    assert_eq!(ended["title"], format!("{shown} was down for 4 min"));
    assert_eq!(ended["updated"], at(5));
    let others = feed(&prepared, &[]);
    assert_ne!(others["id"], told["id"]);
    assert_ne!(others["entries"][0]["id"], later["entries"][0]["id"]);
    assert_eq!(others["links"], Value::Array(Vec::new()));

    let none = feed(&prepared, &[("REPORT_SITE", "blog")]);
    assert_eq!(none["entries"], Value::Array(Vec::new()));
    let updated: Timestamp = none["updated"].as_str().unwrap().parse().unwrap();
    assert!(updated >= now());
}

/// The title of an SVG picture and its texts, as Python's parser reads them.
fn badge(prepared: &Prepared, more: &[(&str, &str)]) -> Value {
    let report = prepared.report().var("REPORT_FORMAT", "badge");
    let text = report.vars(more.iter().copied()).run().exits(0).stdout;
    let script = "
import json, sys, xml.etree.ElementTree as ElementTree
svg = '{http://www.w3.org/2000/svg}'
root = ElementTree.fromstring(sys.stdin.buffer.read())
assert root.tag == svg + 'svg', root.tag
allowed = {svg + name for name in ['svg', 'title', 'rect', 'g', 'text']}
assert {element.tag for element in root.iter()} <= allowed
title = root.findtext(svg + 'title')
assert root.get('aria-label') == title
width = sum(int(rect.get('width')) for rect in root.iter(svg + 'rect'))
assert int(root.get('width')) == width
colour = root.findall(svg + 'rect')[1].get('fill')
json.dump([title, *(text.text for text in root.iter(svg + 'text')), colour], sys.stdout)
";
    let read = Run::program(python::interpreter()).arg("-c").arg(script);
    read.stdin(text).run().exits(0).stdout.parse().unwrap()
}

#[test]
fn a_badge_is_of_one_site_and_says_what_it_is() {
    let prepared = filled();
    for (site, state, colour) in [
        ("shop", "up", "#1a7f37"),
        ("old", "not monitored", "#59616b"),
    ] {
        let told = badge(&prepared, &[("REPORT_SITE", site)]);
        let title = format!("{site}: {state}");
        assert_eq!(told, serde_json::json!([title, site, state, colour]));
    }
    let evil = badge(&prepared, &[("REPORT_SITE", "</title>*")]);
    let name = format!("{}…", EVIL.chars().take(39).collect::<String>());
    assert_eq!(evil[1], name);
    assert_eq!(evil[2], "down");
    let uptime = badge(
        &prepared,
        &[
            ("REPORT_SITE", "blog"),
            ("REPORT_KIND", "sla"),
            ("REPORT_SINCE", "24h"),
        ],
    );
    assert_eq!(uptime[0], "blog: 100 %");

    for (site, left) in [("*", "4 sites"), ("nobody", "no site")] {
        prepared
            .report()
            .var("REPORT_FORMAT", "badge")
            .var("REPORT_SITE", site)
            .run()
            .exits(78)
            .logs(&format!("ERROR report: REPORT_SITE and the other filters leave {left}, and a badge is of one; name it (exit code 78)\n"));
    }
    prepared
        .report()
        .var("REPORT_FORMAT", "atom")
        .run()
        .exits(78)
        .logs("ERROR report: REPORT_FORMAT is atom, which is of REPORT_KIND=incidents only; wants table, json or csv with any other kind\nERROR report: see `report --help` for every variable it reads (exit code 78)\n");
}
