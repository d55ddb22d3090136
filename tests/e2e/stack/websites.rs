//! Each website misbehaves as it says, seen by a client that is nothing but a socket.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use sitewatch_tests::websites::{Behaviour, Page, Request, Website};

/// Longer than anything here takes; a read that needs it fails.
const TIMEOUT: Duration = Duration::from_secs(180);

fn connect(site: &Website) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", site.port()))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn ask(site: &Website, target: &str) -> TcpStream {
    let mut stream = connect(site).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The whole answer, when the website ends it in good order.
fn get(site: &Website, target: &str) -> String {
    let mut answer = Vec::new();
    ask(site, target).read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_page_has_status_headers_and_body() {
    let page = Page::new(503, "closed").header("Retry-After", "60");
    let site = Website::start(Behaviour::Page(page));
    assert_eq!(
        get(&site, "/x?y=1"),
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nContent-Length: 6\r\n\r\nclosed"
    );
    let [request] = &site.requests()[..] else {
        panic!("one request");
    };
    assert_eq!((&*request.method, &*request.target), ("GET", "/x?y=1"));
    assert_eq!(request.header("host"), Some("test"));
}

#[test]
fn a_connection_carries_many_requests_and_bodies() {
    let site = Website::up("hello");
    let mut stream = connect(&site).unwrap();
    let expected = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for body in ["one", "three"] {
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");

    let bodies: Vec<Vec<u8>> = site
        .requests()
        .into_iter()
        .map(|request| request.body)
        .collect();
    assert_eq!(bodies, [&b"one"[..], b"three", b""]);
    assert_eq!(site.connections(), 1);
}

#[test]
fn a_slow_page_comes_late_and_whole() {
    let delay = Duration::from_millis(120);
    let site = Website::start(Behaviour::Slow {
        delay,
        page: Page::ok("late"),
    });
    let start = Instant::now();
    assert!(get(&site, "/").ends_with("late"));
    assert!(start.elapsed() >= delay);
}

#[test]
fn a_dripping_page_comes_byte_by_byte() {
    let every = Duration::from_millis(2);
    let site = Website::start(Behaviour::Drip {
        every,
        page: Page::ok("drip"),
    });
    let start = Instant::now();
    let mut first = [0; 1000];
    let mut stream = ask(&site, "/");
    let read = stream.read(&mut first).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let bytes = (read + rest.len()) as u32;
    assert_eq!(bytes, 42);
    assert!(read < 42, "not all at once");
    assert!(start.elapsed() >= every * bytes);
}

#[test]
fn a_silent_website_accepts_and_says_nothing() {
    let site = Website::start(Behaviour::NeverAnswers);
    let mut stream = ask(&site, "/");
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(site.requests().len(), 1);
    drop(site);
    assert_eq!(
        stream.read(&mut [0]).unwrap(),
        0,
        "stopped with its connections"
    );
}

#[test]
fn connections_are_refused_reset_or_closed() {
    let refuses = Website::start(Behaviour::Refuses);
    let error = connect(&refuses).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

    let resets = Website::start(Behaviour::Resets);
    let error = connect(&resets)
        .and_then(|mut stream| stream.read(&mut [0]))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let closes = Website::start(Behaviour::ClosesWithoutAnswer);
    assert_eq!(get(&closes, "/"), "");
    assert_eq!(closes.requests().len(), 1);
}

#[test]
fn redirects_lead_on_or_round_and_round() {
    let location = |site: &Website, target: &str| {
        let answer = get(site, target);
        assert!(answer.starts_with("HTTP/1.1 302 Found\r\n"), "{answer}");
        let (_, rest) = answer.split_once("Location: ").unwrap();
        rest.split_once("\r\n").unwrap().0.to_owned()
    };
    let to = "http://elsewhere.example/".to_owned();
    let site = Website::start(Behaviour::Redirect {
        to: to.clone(),
        hops: 3,
    });
    assert_eq!(location(&site, "/"), "/hop/1");
    assert_eq!(location(&site, "/hop/1"), "/hop/2");
    assert_eq!(location(&site, "/hop/2"), to);

    let site = Website::start(Behaviour::Redirect {
        to: to.clone(),
        hops: 1,
    });
    assert_eq!(location(&site, "/"), to);

    let site = Website::start(Behaviour::RedirectLoop);
    assert_eq!(location(&site, "/"), "/again");
    assert_eq!(location(&site, "/again"), "/");
}

#[test]
fn garbage_is_not_http_and_a_truncated_body_is_short() {
    let site = Website::start(Behaviour::Garbage);
    assert!(!get(&site, "/").starts_with("HTTP/"));

    let site = Website::start(Behaviour::TruncatedBody(Page::ok("short")));
    let answer = get(&site, "/");
    assert!(
        answer.ends_with("Content-Length: 105\r\n\r\nshort"),
        "{answer}"
    );
}

#[test]
fn huge_answers_have_no_end() {
    const ENOUGH: u64 = 8 * 1024 * 1024;
    let read = |behaviour| {
        let site = Website::start(behaviour);
        let mut answer = Vec::new();
        let read = ask(&site, "/")
            .take(ENOUGH)
            .read_to_end(&mut answer)
            .unwrap();
        assert_eq!(read as u64, ENOUGH);
        answer
    };
    let blank = |answer: &[u8]| answer.windows(4).any(|window| window == b"\r\n\r\n");
    assert!(!blank(&read(Behaviour::HugeHeaders)), "a head has no end");
    assert!(
        blank(&read(Behaviour::HugeBody)[..1000]),
        "a body is after a head"
    );
}

#[test]
fn a_gzip_bomb_grows_a_thousandfold() {
    const ENOUGH: u64 = 64 * 1024 * 1024;
    const TRANSFER: u64 = 100 * 1024;
    let site = Website::start(Behaviour::GzipBomb);
    let mut stream = ask(&site, "/");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    let mut unpacked = GzDecoder::new(stream.take(TRANSFER)).take(ENOUGH);
    let size = io::copy(&mut unpacked, &mut io::sink()).unwrap();
    assert_eq!(size, ENOUGH);
}

#[test]
fn a_test_writes_what_it_likes() {
    let site = Website::start(Behaviour::custom(|request: &Request, out| {
        write!(
            out,
            "HTTP/1.1 200 OK\r\n\r\nyou asked for {}",
            request.target
        )
    }));
    assert!(get(&site, "/this").ends_with("you asked for /this"));
}

#[test]
fn misbehaving_clients_do_no_harm() {
    let site = Website::up("still here");
    for nonsense in [
        &b""[..],
        b"\n",
        b"\xff\xfe\x00",
        b"GET",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut stream = connect(&site).unwrap();
        stream.write_all(nonsense).unwrap();
    }
    let endless = Website::start(Behaviour::HugeBody);
    drop(ask(&endless, "/"));
    assert!(get(&site, "/").ends_with("still here"));
    assert_eq!(site.connections(), 6);
}
