//! Rows of what is in a page and how it is put there.

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sitewatch_tests::websites::{Behaviour, Page};

use super::{Outcome, Row, page, plain, row, with_header};

pub(in crate::probe) fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
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

/// Answers with this head, then with these bytes again and again until nobody listens any more.
pub(in crate::probe) fn endless(head: &'static str, again: Vec<u8>) -> Behaviour {
    Behaviour::custom(move |_, to| {
        to.write_all(head.as_bytes())?;
        let pieces = again.repeat(64 * 1024 / again.len());
        // No longer than that, or the test would never end.
        for _ in 0..4_000 {
            to.write_all(&pieces)?;
        }
        Ok(())
    })
}

/// Nothing at all, as a whole gzip file, of which any number may follow each other.
fn empty_members() -> Behaviour {
    endless(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        gzip(""),
    )
}

/// A block of no bytes, stored as it is (RFC 1951, section 3.2.4), behind the header of zlib's.
fn empty_blocks() -> Behaviour {
    endless(
        "HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n\x78\x01",
        vec![0, 0, 0, 0xff, 0xff],
    )
}

fn ends_in_the_middle_of_a_chunk() -> Behaviour {
    Behaviour::custom(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")
    })
}

pub(super) fn rows() -> Vec<Row> {
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
            "gzip members without end, of nothing",
            empty_members(),
            plain(),
            Protocol,
            "larger compressed than it may be decompressed",
        ),
        row(
            "deflate blocks without end, of nothing",
            empty_blocks(),
            plain(),
            Protocol,
            "larger compressed than it may be decompressed",
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
