//! A table of servers that attack whoever asks them: for each what it comes to, how long it may take
//! and how much memory it may cost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;
use serde_json::{Value, json};
use sitewatch::event::{CheckEvent, Outcome};
use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::memory;
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::outcomes::{endless, gzip};
use super::{plain, probe, site};

/// What each check may take. A server that goes on for ever is given up by then.
const TIMEOUT: Duration = Duration::from_secs(6);
/// How long a run may take, with a machine that is busy: ending by itself, not by a limit of ours.
const LONGEST: Duration = Duration::from_secs(6 * TIMEOUT.as_secs());
/// Megabytes more than a check of a small page: some times the most that is read of a page.
const MEMORY: f64 = 12.0;

struct Row {
    name: &'static str,
    url: String,
    more: Value,
    /// Any of these, and never unknown: a machine that has little time for us meets its timeout first.
    outcomes: &'static [Outcome],
    _website: Option<Website>,
}

fn row(name: &'static str, behaviour: Behaviour, more: Value, outcomes: &'static [Outcome]) -> Row {
    let website = Website::start(behaviour);
    Row {
        name,
        url: website.url(),
        more,
        outcomes,
        _website: Some(website),
    }
}

/// Begins with this, and goes on with that until nobody listens any more, with a pause in between.
fn dribble(head: &'static str, again: &'static str) -> Behaviour {
    Behaviour::custom(move |_, to| {
        to.write_all(head.as_bytes())?;
        loop {
            to.write_all(again.as_bytes())?;
            to.flush()?;
            thread::sleep(Duration::from_millis(20));
        }
    })
}

fn body(head: &'static str, body: Vec<u8>) -> Behaviour {
    Behaviour::custom(move |_, to| {
        write!(
            to,
            "HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n",
            body.len()
        )?;
        to.write_all(&body)
    })
}

/// A mebibyte of this, over and over.
fn filled(with: &str) -> Vec<u8> {
    let mut body = with.repeat((1 << 20) / with.len() + 1).into_bytes();
    body.truncate((1 << 20) - 8);
    body
}

fn heads() -> Vec<Row> {
    use Outcome::{Protocol, Redirect, Timeout};
    vec![
        row(
            "headers without end",
            Behaviour::HugeHeaders,
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a header without end",
            endless("HTTP/1.1 200 OK\r\nA: ", b"x".to_vec()),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a status line without end",
            endless("HTTP/1.1 200 ", b"x".to_vec()),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "lines without end, of nothing",
            endless("", b"\r\n".to_vec()),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a header byte by byte",
            dribble("HTTP/1.1 200 OK\r\nA: ", "x"),
            plain(),
            &[Timeout],
        ),
        row(
            "interim responses without end",
            endless(
                "",
                b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec(),
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "interim responses now and then",
            dribble("", "HTTP/1.1 102 Processing\r\n\r\n"),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "redirects to itself",
            Behaviour::RedirectLoop,
            plain(),
            &[Redirect],
        ),
        row("redirects that grow", growing(), plain(), &[Redirect]),
        row(
            "a length beyond all numbers",
            endless(
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                b"x".to_vec(),
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a length that never comes",
            dribble(
                "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
                "x",
            ),
            plain(),
            &[Timeout],
        ),
    ]
}

/// Each redirect is twice as long as the one before.
fn growing() -> Behaviour {
    Behaviour::custom(|request, to| {
        let longer = format!(
            "{0}{0}",
            request.target.trim_matches('/').replace('/', "x") + "x"
        );
        write!(
            to,
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /{longer}\r\n\r\n"
        )
    })
}

fn bodies() -> Vec<Row> {
    use Outcome::{Body, Protocol, Timeout, Up};
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const GZIP: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
    let many: Vec<String> = (0..32)
        .map(|number| format!(r"\bnever {number}\b"))
        .collect();
    vec![
        row(
            "a page without end",
            Behaviour::HugeBody,
            json!({"regex": r"\bnever\b"}),
            &[Body, Timeout],
        ),
        row(
            "a bomb",
            Behaviour::GzipBomb,
            json!({"regex": r"\bnever\b"}),
            &[Body, Timeout],
        ),
        row(
            "gzip members of nothing",
            endless(GZIP, gzip("")),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "deflate blocks of nothing",
            endless(
                "HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n\x78\x01",
                vec![0, 0, 0, 0xff, 0xff],
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a gzip header without end",
            // With a name (RFC 1952, section 2.3) that goes on and on.
            endless(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f",
                vec![0x41],
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a chunk's extension without end",
            endless(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
                b"x".to_vec(),
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "extensions of every chunk",
            endless(CHUNKED, b"1;abcdefghijklmnopq\r\nx\r\n".to_vec()),
            plain(),
            &[Up, Protocol, Timeout],
        ),
        row(
            "chunks of a byte",
            endless(CHUNKED, b"1\r\nx\r\n".to_vec()),
            plain(),
            &[Up, Protocol, Timeout],
        ),
        row(
            "trailers without end",
            endless(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"A: b\r\n".to_vec(),
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a trailer without end",
            endless(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
                b"b".to_vec(),
            ),
            plain(),
            &[Protocol, Timeout],
        ),
        row(
            "a body now and then",
            dribble("HTTP/1.0 200 OK\r\n\r\n", "x"),
            plain(),
            &[Timeout],
        ),
        row(
            "JSON of nothing, many times",
            body(
                "",
                format!("[{}1]", r#"{"":0},"#.repeat((1 << 20) / 8)).into_bytes(),
            ),
            json!({"json": {"/0": {"": 0}, "/5/x": 1}}),
            &[Body, Timeout],
        ),
        row(
            "JSON without bottom",
            body("", filled("[")),
            json!({"json": {"/0/0": 1}}),
            &[Body, Timeout],
        ),
        row(
            "a page for many patterns that need all of it",
            body("", filled("text ")),
            json!({"regex_not": many}),
            &[Up, Timeout],
        ),
        row(
            "a page in a charset that grows",
            body(
                "Content-Type: text/html; charset=windows-1252\r\n",
                vec![0x80; (1 << 20) - 8],
            ),
            json!({"regex": r"\bnever\b"}),
            &[Body, Timeout],
        ),
    ]
}

/// Does this with every connection, for as long as the test runs.
fn server(serve: impl Fn(&mut std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            serve(&mut client);
        }
    });
    address
}

/// Reads what a client says first, then says this again and again until it goes.
fn flood(again: &'static [u8]) -> SocketAddr {
    server(move |client| {
        let said = client.read(&mut [0; 4096]);
        if !said.is_ok_and(|length| length > 0) {
            return;
        }
        let pieces = again.repeat(64 * 1024 / again.len() + 1);
        while client.write_all(&pieces).is_ok() {}
    })
}

/// A chain of a thousand certificates, none of which leads anywhere.
fn long_chain() -> SocketAddr {
    let issued = CertificateAuthority::new("long").certificate(Kind::Good);
    let certificate = X509::from_pem(issued.chain.as_bytes()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    let key = PKey::private_key_from_pem(issued.key.as_bytes()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    for _ in 0..1_000 {
        acceptor.add_extra_chain_cert(certificate.clone()).unwrap();
    }
    let acceptor = acceptor.build();
    server(move |client| {
        drop(acceptor.accept(client.try_clone().unwrap()));
    })
}

fn secure() -> Vec<Row> {
    use Outcome::{Connect, Timeout, Tls};
    let at = |name, address: SocketAddr, outcomes| Row {
        name,
        url: format!("https://{address}/"),
        more: plain(),
        outcomes,
        _website: None,
    };
    let proxy = Website::start(endless("HTTP/1.1 200 OK\r\nA: ", b"x".to_vec()));
    let through = json!({"proxy": proxy.url()});
    vec![
        // Records (RFC 8446, section 5.1) of warnings, of nothing, of a handshake that never is.
        at(
            "warnings without end",
            flood(&[21, 3, 3, 0, 2, 1, 90]),
            &[Tls, Timeout],
        ),
        at(
            "records of nothing",
            flood(&[22, 3, 3, 0, 0]),
            &[Tls, Timeout],
        ),
        at(
            "a handshake of zeros",
            flood(&[22, 3, 3, 0, 4, 2, 0, 0xff, 0xff]),
            &[Tls, Timeout],
        ),
        at(
            "a chain of a thousand certificates",
            long_chain(),
            &[Tls, Timeout],
        ),
        at(
            "a handshake byte by byte",
            server(|client| {
                let mut hello = [22, 3, 3, 0x40, 0].to_vec();
                hello.extend([2, 0, 0x3f, 0xfc]);
                for byte in hello.iter().chain(std::iter::repeat(&3)) {
                    if client.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            }),
            &[Timeout, Tls],
        ),
        Row {
            name: "a proxy whose answer has no end",
            url: "https://shop.example/".to_owned(),
            more: through,
            outcomes: &[Connect],
            _website: Some(proxy),
        },
    ]
}

/// Checks one site in a run of its own: what came of it, how long it took, how much memory.
fn measured(name: &str, url: &str, more: &Value) -> (CheckEvent<'static>, Duration, f64) {
    let mut more = more.clone();
    more["timeout"] = TIMEOUT.as_secs().into();
    let running = probe(&[site(name, url, &more)]).timeout(LONGEST).spawn();
    let pid = running.pid();
    let peak = thread::spawn(move || memory::peak_of(pid));
    let finished = running.wait().exits(0);
    let line: &'static str = finished.stdout.clone().leak();
    let event = CheckEvent::decode(line.trim_end().as_bytes())
        .unwrap_or_else(|error| panic!("{name}: {error}: {finished}"));
    (event, finished.elapsed, peak.join().unwrap())
}

#[test]
fn no_server_takes_more_than_a_page_does_nor_chooses_what_it_is_called() {
    // Slow, so that it is there to be looked at on a machine that is busy.
    let website = Website::start(Behaviour::Slow {
        delay: Duration::from_secs(1),
        page: Page::ok("small"),
    });
    let (_, _, small) = measured("small", &website.url(), &json!({"regex": r"\bsmall\b"}));
    let secure_small = {
        // What the certificates of this system take, wherever the handshake leads.
        let (_, _, peak) = measured("small", &website.https_url(), &plain());
        peak
    };
    let rows: Vec<(Row, f64)> = [heads(), bodies()]
        .into_iter()
        .flatten()
        .map(|row| (row, small))
        .chain(
            secure()
                .into_iter()
                .map(|row| (row, small.max(secure_small))),
        )
        .collect();
    let mut wrong = Vec::new();
    for some in rows.chunks(8) {
        thread::scope(|scope| {
            let runs: Vec<_> = some
                .iter()
                .map(|(row, _)| scope.spawn(|| measured(row.name, &row.url, &row.more)))
                .collect();
            for ((row, least), run) in some.iter().zip(runs) {
                let (event, took, peak) = run.join().unwrap();
                if !row.outcomes.contains(&event.outcome) || took > LONGEST || peak > least + MEMORY
                {
                    wrong.push(format!(
                        "{}: {:?} {:?}, {took:?}, {peak:.1} MB (a small page: {least:.1})",
                        row.name, event.outcome, event.error
                    ));
                }
            }
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
