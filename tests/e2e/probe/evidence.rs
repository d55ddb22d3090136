//! What a failed check received: kept where it is asked for, without what is secret, and not for long.

use serde_json::{Value, json};
use sitewatch::event::{CheckEvent, Outcome};
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{check, check_with, plain, probe, site};
use crate::support::{Prepared, down, lines, up};

const TOKEN: &str = "hush-hush-token";

fn failing() -> Website {
    let page = Page::new(503, format!("<p>sorry, {TOKEN}\u{202e}\nsee you"))
        .header("Server", "nginx")
        .header("Set-Cookie", "id=hush-hush-cookie");
    Website::start(Behaviour::Page(page))
}

#[test]
fn a_failed_check_tells_what_it_received_without_cookies_and_secrets() {
    let website = failing();
    let site = json!({"bearer_token": {"env": "SITE_SECRET_TOKEN"}, "capture": "1KiB"});
    let captures = ("CHECK_CAPTURE", "4KiB");
    let secret = [("SITE_SECRET_TOKEN", TOKEN), captures];
    let event = check_with(&website.url(), &site, &secret);
    assert_eq!(event.outcome, Outcome::Status);
    let evidence = event.evidence.as_deref().unwrap();
    let (head, body) = evidence.split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503\n"), "{head}");
    for line in ["server: nginx", "set-cookie: [removed]"] {
        assert!(head.lines().any(|of_head| of_head == line), "{head}");
    }
    assert_eq!(body, "<p>sorry, [removed]\\u{202e}\nsee you");
    assert!(!evidence.contains("hush"), "{evidence}");

    // As much as was asked for, from the variable as well.
    let event = check_with(&website.url(), &plain(), &[("CHECK_CAPTURE", "9")]);
    assert!(event.evidence.unwrap().ends_with("\n\n<p>sorry…"));
    // Unless it is asked for, and when nothing failed or nothing came, there is none.
    assert_eq!(check(&website.url(), &plain()).evidence, None);
    let less = json!({"capture": 0});
    let fine = json!({"status": 503});
    for (url, site) in [
        (website.url(), less),
        (website.url(), fine),
        ("http://127.0.0.1:1/".to_owned(), plain()),
    ] {
        assert_eq!(check_with(&url, &site, &[captures]).evidence, None);
    }
}

/// Whoever writes a list could otherwise read pages that only the probe reaches.
#[test]
fn a_list_does_not_capture_what_the_operator_does_not() {
    let website = failing();
    let list = [site("site", &website.url(), &json!({"capture": "1KiB"}))];
    probe(&list)
        .run()
        .exits(78)
        .stderr_has("capture is 1024; at most 0 (CHECK_CAPTURE)");
    assert_eq!(website.connections(), 0);
}

#[test]
fn it_is_recorded_apart_shown_where_that_is_wanted_and_removed() {
    let prepared = Prepared::new("evidence");
    let received = "HTTP/1.1 503\nserver: nginx\n\n<b>sorry</b>";
    let with = |event: CheckEvent<'static>| CheckEvent {
        evidence: Some(received.into()),
        ..event
    };
    let week = 8 * 86_400;
    let events = [
        up("shop", 600),
        with(down("shop", 60)),
        with(down("shop", week)),
    ];
    for expected in [2, 2] {
        prepared
            .drain()
            .var("DRAIN_SOURCE", "stdin")
            .stdin(lines(&events))
            .run()
            .exits(0);
        assert_eq!(prepared.count("select count(*) from evidence"), expected);
    }

    let recent = |is_wanted: &str| -> Vec<Value> {
        let report = prepared
            .report()
            .var("REPORT_KIND", "recent")
            .var("REPORT_FORMAT", "json")
            .var("REPORT_EVIDENCE", is_wanted);
        let finished = report.run().exits(0);
        let lines = finished.stdout.lines();
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["evidence"].clone())
            .collect()
    };
    assert_eq!(recent("false"), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(
        recent("true"),
        [json!(received), Value::Null, json!(received)]
    );

    let page = |is_wanted: &str| {
        let report = prepared
            .report()
            .var("REPORT_FORMAT", "html")
            .var("REPORT_EVIDENCE", is_wanted);
        report.run().exits(0).stdout
    };
    assert!(!page("false").contains("sorry"));
    let shown = page("true");
    assert!(
        shown.contains("server: nginx\n\n&#60;b&#62;sorry&#60;/b&#62;</pre>"),
        "{shown}"
    );

    prepared
        .maintain()
        .run()
        .exits(0)
        .stderr_has("1 old piece of evidence removed");
    assert_eq!(prepared.count("select count(*) from evidence"), 1);
}
