//! Rows of what comes before a page: heads, statuses, time, or nothing at all.

use std::time::Duration;

use serde_json::json;
use sitewatch_tests::websites::{Behaviour, Page};

use super::bodies::endless;
use super::{Outcome, Row, plain, row, status, url_row, with_header};

fn slow(milliseconds: u64) -> Behaviour {
    Behaviour::Slow {
        delay: Duration::from_millis(milliseconds),
        page: Page::ok("late"),
    }
}

/// A page behind this many headers.
fn many_headers(count: usize) -> Behaviour {
    Behaviour::custom(move |_, to| {
        let more = "X: y\r\n".repeat(count - 1);
        write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{more}\r\n")
    })
}

pub(super) fn rows() -> Vec<Row> {
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
            "the response has more than 128 headers",
        ),
        row(
            "a header of 20 KB",
            with_header("x", "X-Long", &"y".repeat(20_000)),
            json!({"header_regex": {"x-long": "^y{10}"}}),
            Up,
            "",
        ),
        row(
            "a header without end",
            endless("HTTP/1.1 200 OK\r\nX-Long: ", b"y".to_vec()),
            plain(),
            Protocol,
            "the response's head is larger than 256 KiB",
        ),
        row(
            "more headers than there may be",
            many_headers(129),
            plain(),
            Protocol,
            "the response has more than 128 headers",
        ),
        row(
            "as many as there may be",
            many_headers(128),
            plain(),
            Up,
            "",
        ),
        row(
            "interim responses without end",
            endless("", b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()),
            plain(),
            Protocol,
            "more than 64 interim (1xx) responses",
        ),
        row(
            "interim responses and a page",
            Behaviour::custom(|_, to| {
                to.write_all(
                    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                )?;
                to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
            }),
            json!({"regex": "^page$"}),
            Up,
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
