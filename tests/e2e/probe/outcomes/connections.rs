//! Rows of where redirects lead, and of TLS.

use serde_json::json;
use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::websites::{Behaviour, Tls, Website};

use super::{Outcome, Row, page, plain, redirect, row};

pub(super) fn redirects() -> Vec<Row> {
    use Outcome::{Protocol, Redirect, Up};
    let target = Website::up("arrived");
    let arrived = target.url();
    let long = format!("{arrived}{}", "x".repeat(20_000));
    let endless = format!("{arrived}{}", "x".repeat(66_000));
    let mut rows = vec![
        row(
            "a redirect with a login to no URL",
            redirect("https://me:hush@example.org:99999/", 1),
            plain(),
            Redirect,
            "a redirect leads nowhere: invalid port number",
        ),
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
            "a redirect to a URL of 20 KB",
            redirect(&long, 1),
            plain(),
            Up,
            "",
        ),
        row(
            "a redirect to a URL of 66 KB",
            redirect(&endless, 1),
            plain(),
            Redirect,
            "bytes; at most 64512",
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
pub(super) fn secure() -> Vec<Row> {
    let authority = CertificateAuthority::new("table");
    let good = Website::start_tls(page("secret"), &Tls::new(&authority, Kind::Good));
    let plain_http = Website::start(page("plain"));
    vec![
        Row {
            name: "an unknown CA",
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
