//! A table of misbehaving websites, a named row each; every outcome has at least one.

use std::collections::BTreeSet;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sitewatch::event::Outcome;
use sitewatch_tests::certificates::{Authority, Kind};
use sitewatch_tests::command::Run;
use sitewatch_tests::websites::{Behaviour, Page, Tls, Website};

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

fn slow(milliseconds: u64) -> Behaviour {
    Behaviour::Slow {
        delay: Duration::from_millis(milliseconds),
        page: Page::ok("late"),
    }
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn redirect(to: &str, hops: u32) -> Behaviour {
    Behaviour::Redirect {
        to: to.to_owned(),
        hops,
    }
}

fn a_chunk_whose_size_never_ends() -> Behaviour {
    Behaviour::custom(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\rX")?;
        // Until nobody listens any more; no longer, or the test would never end.
        for _ in 0..1_000 {
            to.write_all(&[b'x'; 64 * 1024])?;
        }
        Ok(())
    })
}

fn ends_in_the_middle_of_a_chunk() -> Behaviour {
    Behaviour::custom(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")
    })
}

fn bodies() -> Vec<Row> {
    use Outcome::{Body, Protocol, Up};
    vec![
        row("a page", page("hello"), plain(), Up, ""),
        row(
            "a page with the text",
            page("say hello"),
            json!({"regex": "he.lo"}),
            Up,
            "",
        ),
        row(
            "a page without the text",
            page("goodbye"),
            json!({"regex": "hello"}),
            Body,
            "\"hello\" not found",
        ),
        row(
            "a text that must not be there",
            page("Fatal error"),
            json!({"regex_not": ["nope", "(?i)fatal"]}),
            Body,
            "\"(?i)fatal\" found",
        ),
        row(
            "a text in another charset",
            with_header(
                *b"gr\xfc\xdfe",
                "Content-Type",
                "text/html; charset=ISO-8859-1",
            ),
            json!({"regex": "^gr\u{fc}\u{df}e$"}),
            Up,
            "",
        ),
        row(
            "a compressed page",
            with_header(gzip("packed text"), "Content-Encoding", "gzip"),
            json!({"regex": "^packed text$"}),
            Up,
            "",
        ),
        row(
            "nothing, compressed",
            with_header("", "Content-Encoding", "gzip"),
            plain(),
            Up,
            "",
        ),
        row(
            "a page that is not as compressed as it says",
            with_header("plain text".repeat(9), "Content-Encoding", "gzip"),
            plain(),
            Protocol,
            "cannot be decompressed",
        ),
        row(
            "an encoding nobody asked for",
            with_header("x", "Content-Encoding", "br"),
            plain(),
            Protocol,
            "\"br\", which was not asked for",
        ),
        row(
            "a text beyond the limit",
            page(&("x".repeat(5_000) + "end")),
            json!({"regex": "end", "body_limit": 1_000}),
            Body,
            "not found in the first 1000 bytes",
        ),
        row(
            "a page that is larger than it may be, as far as it is read",
            page(&"x".repeat(5_000)),
            json!({"max_body_size": 1_000, "body_limit": 1_000}),
            Body,
            "more than 1000 bytes",
        ),
        row(
            "the right JSON",
            page(r#"{"db": {"ok": true, "lag": 1.0}}"#),
            json!({"json": {"/db/ok": true, "/db/lag": 1}}),
            Up,
            "",
        ),
        row(
            "the wrong JSON",
            page(r#"{"db": {"ok": false}}"#),
            json!({"json": {"/db/ok": true}}),
            Body,
            "JSON \"/db/ok\" is false, expected true",
        ),
        row(
            "missing JSON",
            page("{}"),
            json!({"json": {"/db": 1}}),
            Body,
            "JSON \"/db\" is missing",
        ),
        row(
            "no JSON",
            page("<html>"),
            json!({"json": {"/db": 1}}),
            Body,
            "is not JSON",
        ),
        row(
            "too small a page",
            page("12"),
            json!({"min_body_size": 3}),
            Body,
            "2 bytes, at least 3",
        ),
        row(
            "too large a page",
            page("1234"),
            json!({"max_body_size": 3}),
            Body,
            "more than 3 bytes",
        ),
        row("a page without end", Behaviour::HugeBody, plain(), Up, ""),
        row(
            "a compressed page without end",
            Behaviour::GzipBomb,
            plain(),
            Up,
            "",
        ),
        row(
            "a page cut short",
            Behaviour::TruncatedBody(Page::ok("abc")),
            plain(),
            Protocol,
            "before the body was complete",
        ),
        row(
            "a chunk whose size never ends",
            a_chunk_whose_size_never_ends(),
            plain(),
            Protocol,
            "a chunk of the body begins with more than it may",
        ),
        row(
            "a chunk cut short",
            ends_in_the_middle_of_a_chunk(),
            plain(),
            Protocol,
            "before the body was complete",
        ),
    ]
}

fn heads() -> Vec<Row> {
    use Outcome::{Connect, Dns, Header, Protocol, Slow, Status, Timeout, Up};
    // Long enough that waits of this machine's own do not make it "unknown".
    let soon = || json!({"timeout": "2s"});
    let drip = Behaviour::Drip {
        every: Duration::from_millis(40),
        page: Page::ok("x".repeat(1_000)),
    };
    vec![
        row(
            "the right header",
            with_header("x", "X-Cache", "HIT from here"),
            json!({"header_regex": {"x-cache": "^HIT"}}),
            Up,
            "",
        ),
        row(
            "the wrong header",
            with_header("x", "X-Cache", "MISS"),
            json!({"header_regex": {"X-Cache": "^HIT"}}),
            Header,
            "no header x-cache that matches \"^HIT\"",
        ),
        row(
            "an error",
            status(500),
            plain(),
            Status,
            "status 500, expected 200-399",
        ),
        row(
            "an error that is expected",
            status(500),
            json!({"status": [200, "500-503"]}),
            Up,
            "",
        ),
        row(
            "a status that is not expected",
            status(200),
            json!({"status": 204}),
            Status,
            "status 200, expected 204",
        ),
        row("not modified", status(304), plain(), Up, ""),
        row(
            "slower than allowed",
            slow(200),
            json!({"max_response_time": "50ms"}),
            Slow,
            "at most 50 ms",
        ),
        row(
            "never an answer",
            Behaviour::NeverAnswers,
            soon(),
            Timeout,
            "no response in time",
        ),
        row(
            "never a first byte",
            Behaviour::NeverAnswers,
            json!({"first_byte_timeout": "500ms"}),
            Timeout,
            "no response in time",
        ),
        row("a byte now and then", drip, soon(), Timeout, "in time"),
        row(
            "refused",
            Behaviour::Refuses,
            plain(),
            Connect,
            "connection refused by 127.0.0.1:",
        ),
        row(
            "reset",
            Behaviour::Resets,
            plain(),
            Protocol,
            "before the response was complete",
        ),
        row(
            "closed without an answer",
            Behaviour::ClosesWithoutAnswer,
            plain(),
            Protocol,
            "connection closed before the response was complete",
        ),
        row("no HTTP", Behaviour::Garbage, plain(), Protocol, ""),
        row(
            "a head without end",
            Behaviour::HugeHeaders,
            plain(),
            Protocol,
            "",
        ),
        url_row(
            "a host that does not exist",
            "http://does-not-exist.invalid/",
            plain(),
            Dns,
            "",
        ),
        url_row(
            "no IPv6 address",
            "http://127.0.0.1:1/",
            json!({"address_family": "ipv6"}),
            Dns,
            "the host has no IPv6 address",
        ),
    ]
}

fn redirects() -> Vec<Row> {
    use Outcome::{Protocol, Redirect, Up};
    let target = Website::up("arrived");
    let arrived = target.url();
    let mut rows = vec![
        row(
            "a redirect",
            redirect(&arrived, 1),
            json!({"regex": "arrived"}),
            Up,
            "",
        ),
        row(
            "many redirects",
            redirect(&arrived, 5),
            json!({"regex": "arrived"}),
            Up,
            "",
        ),
        row(
            "too many redirects",
            redirect(&arrived, 5),
            json!({"max_redirects": 4}),
            Redirect,
            "more than 4 redirects",
        ),
        row(
            "redirects for ever",
            Behaviour::RedirectLoop,
            plain(),
            Redirect,
            "more than 10 redirects",
        ),
        row(
            "a redirect as the answer",
            redirect(&arrived, 1),
            json!({"max_redirects": 0, "status": 302}),
            Up,
            "",
        ),
        row(
            "a redirect to a file",
            redirect("file:///etc/passwd", 1),
            plain(),
            Redirect,
            "leads to the scheme \"file\"",
        ),
        row(
            "a redirect to nowhere",
            redirect("http://", 1),
            plain(),
            Redirect,
            "leads nowhere",
        ),
        row(
            "control characters in a header",
            redirect("x\u{1b}[2J://y", 1),
            plain(),
            Protocol,
            "",
        ),
    ];
    rows.push(Row {
        name: "the redirects' target",
        _website: Some(target),
        url: arrived,
        more: plain(),
        outcome: Up,
        error: "",
    });
    rows
}

/// `tls.rs` has the many ways in which a certificate can be wrong.
fn secure() -> Vec<Row> {
    let authority = Authority::new("table");
    let good = Website::start_tls(page("secret"), &Tls::new(&authority, Kind::Good));
    let plain_http = Website::start(page("plain"));
    vec![
        Row {
            name: "an unknown authority",
            url: good.url(),
            _website: Some(good),
            more: plain(),
            outcome: Outcome::Certificate,
            error: "",
        },
        Row {
            name: "no TLS at all",
            url: plain_http.https_url(),
            _website: Some(plain_http),
            more: plain(),
            outcome: Outcome::Tls,
            error: "TLS handshake",
        },
    ]
}

#[test]
fn every_row_has_its_outcome_and_every_outcome_has_a_row() {
    let mut seen = BTreeSet::new();
    let rows: Vec<Row> = [bodies(), heads(), redirects(), secure()]
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
