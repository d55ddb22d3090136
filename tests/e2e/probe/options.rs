//! What a site can say about the request, and what the server then sees.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::json;
use sitewatch::event::Outcome;
use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::websites::{Behaviour, Page, Tls, Website};

use super::{assert_is, check, check_with, events, plain, probe, site};

#[test]
fn the_request_is_what_the_site_says() {
    let website = Website::up("ok");
    let more = json!({
        "method": "put", "body": "ping", "headers": {"X-Own": "yes"},
        "basic_auth": {"username": "me", "password": {"env": "SITE_SECRET_PASSWORD"}},
        "compression": false, "user_agent": "me/1",
    });
    let event = check_with(&website.url(), &more, &[("SITE_SECRET_PASSWORD", "p:ss")]);
    assert_is(&event, Outcome::Up, "");
    let [request] = &website.requests()[..] else {
        panic!("one request: {:?}", website.requests());
    };
    assert_eq!(request.method, "PUT");
    assert_eq!(request.header("x-own"), Some("yes"));
    assert_eq!(request.header("authorization"), Some("Basic bWU6cDpzcw=="));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("user-agent"), Some("me/1"));
    assert_eq!(request.header("content-length"), Some("4"));
}

#[test]
fn every_method_is_sent_as_it_is() {
    let website = Website::up("ok");
    for method in ["HEAD", "POST", "DELETE", "OPTIONS", "PATCH", "PURGE"] {
        assert_is(
            &check(&website.url(), &json!({"method": method})),
            Outcome::Up,
            "",
        );
    }
    let sent: Vec<String> = website
        .requests()
        .iter()
        .map(|request| request.method.clone())
        .collect();
    assert_eq!(
        sent,
        ["HEAD", "POST", "DELETE", "OPTIONS", "PATCH", "PURGE"]
    );
}

#[test]
fn we_say_who_we_are() {
    let website = Website::up("ok");
    check(&website.url(), &plain());
    let requests = website.requests();
    let agent = requests[0].header("user-agent").unwrap().to_owned();
    assert!(
        agent.starts_with("sitewatch-probe/") && agent.contains("https://"),
        "{agent}"
    );
    assert_eq!(requests[0].header("accept-encoding"), Some("gzip"));
}

#[test]
fn credentials_in_a_url_are_used_and_never_shown() {
    let website = Website::start(Behaviour::Page(Page::new(401, "no")));
    let url = website.url().replace("http://", "http://me:hush@");
    let finished = probe(&[site("site", &url, &plain())])
        .var("LOG_LEVEL", "trace")
        .run()
        .exits(0);
    assert!(
        !finished.stdout.contains("hush") && !finished.stderr.contains("hush"),
        "{finished}"
    );
    assert!(!finished.stderr.contains("bWU6aHVzaA"), "{finished}");
    assert_eq!(
        website.requests()[0].header("authorization"),
        Some("Basic bWU6aHVzaA==")
    );
}

#[test]
fn another_host_gets_no_secrets() {
    let other = Website::up("other");
    let website = Website::start(Behaviour::Redirect {
        to: other.url_on("localhost"),
        hops: 1,
    });
    let event = check(
        &website.url(),
        &json!({"bearer_token": "hush", "headers": {"X-Key": "hush"}}),
    );
    assert_is(&event, Outcome::Up, "");
    assert_eq!(event.redirects, 1);
    assert_eq!(
        event.final_url.as_deref(),
        Some(other.url_on("localhost").as_str())
    );
    assert_eq!(
        website.requests()[0].header("authorization"),
        Some("Bearer hush")
    );
    let second = &other.requests()[0];
    assert_eq!(
        (second.header("authorization"), second.header("x-key")),
        (None, None)
    );
}

#[test]
fn another_origin_gets_no_body() {
    let other = Website::up("other");
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        let to = other.url_on("localhost");
        let website = Website::start(Behaviour::custom(move |_, answer| {
            write!(
                answer,
                "HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            )
        }));
        let event = check(&website.url(), &json!({"method": "POST", "body": "hush"}));
        assert_is(&event, Outcome::Up, "");
        assert_eq!(website.requests()[0].header("content-length"), Some("4"));
    }
    assert_eq!(other.requests().len(), 2);
    for request in other.requests() {
        assert_eq!(request.method, "POST");
        assert!(
            matches!(request.header("content-length"), None | Some("0")),
            "{request:?}"
        );
    }
}

#[test]
fn a_name_can_be_given_an_address() {
    let website = Website::up("ok");
    let url = website.url_on("shop.example");
    let event = check(&url, &json!({"resolve": {"shop.example": "127.0.0.1"}}));
    assert_is(&event, Outcome::Up, "");
    assert_eq!(event.dns_us, None);
    let host = website.requests()[0].header("host").unwrap().to_owned();
    assert!(host.starts_with("shop.example:"), "{host}");
}

#[test]
fn an_address_of_ours_can_be_chosen() {
    let website = Website::up("ok");
    assert_is(
        &check(&website.url(), &json!({"source_address": "127.0.0.9"})),
        Outcome::Up,
        "",
    );
    let finished = probe(&[site(
        "site",
        &website.url(),
        &json!({"source_address": "192.0.2.1"}),
    )])
    .run()
    .exits(69);
    assert_is(&events(&finished)["site"], Outcome::Local, "source_address");
}

#[test]
fn plain_requests_go_through_a_proxy_with_their_whole_url() {
    let proxy = Website::up("from the proxy");
    let via = proxy.url().replace("http://", "http://me:hush@");
    let event = check_with(
        "http://shop.example/a?b",
        &json!({"regex": "from the proxy"}),
        &[("HTTP_PROXY", &via)],
    );
    assert_is(&event, Outcome::Up, "");
    let request = &proxy.requests()[0];
    assert_eq!(request.target, "http://shop.example:80/a?b");
    assert_eq!(
        request.header("proxy-authorization"),
        Some("Basic bWU6aHVzaA==")
    );
    let direct = Website::up("direct");
    let vars = [("HTTP_PROXY", via.as_str()), ("NO_PROXY", "127.0.0.0/8")];
    assert_is(
        &check_with(&direct.url(), &json!({"regex": "direct"}), &vars),
        Outcome::Up,
        "",
    );
}

#[test]
fn secure_requests_are_tunnelled() {
    let refusing = Website::start(Behaviour::Page(Page::new(403, "no")));
    let event = check("https://shop.example/", &json!({"proxy": refusing.url()}));
    assert_is(
        &event,
        Outcome::Connect,
        "the proxy answered 403 to CONNECT",
    );
    let request = &refusing.requests()[0];
    assert_eq!(
        (&*request.method, &*request.target),
        ("CONNECT", "shop.example:443")
    );
}

/// Carries what it is asked to, whatever the name in the request, to this machine's port.
fn tunnel() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let port = target.rsplit_once(':').unwrap().1;
            let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            asked.send(head).ok();
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .unwrap();
            let (mut from_server, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from_server, &mut to_client));
            thread::spawn(move || io::copy(&mut client, &mut server));
        }
    });
    (url, requests)
}

#[test]
fn the_other_end_of_a_tunnel_is_the_site() {
    let authority = CertificateAuthority::new("Sitewatch test CA");
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let website = Website::start_tls(
        Behaviour::Page(Page::ok("from the site")),
        &Tls::new(&authority, Kind::Good),
    );
    let (proxy, requests) = tunnel();
    let with_password = proxy.replace("http://", "http://me:secret@");
    // A name that this machine does not know: the proxy looks it up.
    let url = format!("https://localhost.:{}/", website.port());
    let event = check_with(
        &url,
        &json!({"proxy": with_password, "tls_ca_file": ca, "tls_server_name": "localhost",
            "regex": "from the site"}),
        &[("SITES_TLS_DIR", ca.parent().unwrap().to_str().unwrap())],
    );
    assert_is(&event, Outcome::Up, "");
    assert_eq!(event.dns_us, None, "the proxy's address is one");
    assert!(event.tls_us.is_some());
    let head = requests.recv().unwrap();
    assert!(
        head.starts_with(&format!(
            "CONNECT localhost.:{} HTTP/1.1\r\n",
            website.port()
        )),
        "{head}"
    );
    assert!(
        head.to_lowercase()
            .contains("proxy-authorization: basic bwu6c2vjcmv0"),
        "{head}"
    );
    let [request] = &website.requests()[..] else {
        panic!("one request: {:?}", website.requests());
    };
    assert_eq!(request.target, "/");
    assert_eq!(
        request.header("proxy-authorization"),
        None,
        "that is for the proxy"
    );
}

#[test]
fn a_server_that_takes_nothing_costs_its_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("body"), vec![b'x'; 16 << 20]).unwrap();
    // Two addresses, the first of which nobody listens on, and one.
    for host in ["localhost", "127.0.0.1"] {
        let finished = probe(&[site(
            "site",
            &format!("http://{host}:{port}/"),
            &json!({"method": "POST", "body": {"file": "body"}, "timeout": "3s"}),
        )])
        .var("SITES_SECRETS_DIR", secrets.path())
        .run()
        .exits(0);
        assert_is(&events(&finished)["site"], Outcome::Timeout, "");
        assert!(finished.elapsed < sitewatch_tests::wait::SOON, "{finished}");
    }
}

#[test]
fn a_failure_is_believed_after_its_retries() {
    let website = Website::start(Behaviour::Page(Page::new(500, "no")));
    let event = check(
        &website.url(),
        &json!({"retries": 2, "retry_delay": "10ms"}),
    );
    assert_is(&event, Outcome::Status, "500");
    assert_eq!((event.attempts, website.requests().len()), (3, 3));
    assert_eq!(
        event.first_error.as_deref(),
        Some("status 500, expected 200-399")
    );

    let count = AtomicU32::new(0);
    let recovering = Website::start(Behaviour::custom(move |_, to| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let status = if first { "503 Busy" } else { "200 OK" };
        write!(to, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
    }));
    let event = check(&recovering.url(), &json!({"retries": 1, "retry_delay": 0}));
    assert_is(&event, Outcome::Up, "");
    assert_eq!(
        (event.attempts, event.first_error.as_deref()),
        (2, Some("status 503, expected 200-399"))
    );
}

#[test]
fn some_statuses_make_no_event_and_some_checks_are_marked() {
    let missing = Website::start(Behaviour::Page(Page::new(404, "no")));
    let finished = probe(&[site("site", &missing.url(), &json!({"skip_status": 404}))])
        .run()
        .exits(0);
    finished.stdout_is("");
    let always = json!({"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"});
    let event = check(
        &missing.url(),
        &json!({"maintenance": always, "labels": {"team": "web"}}),
    );
    assert!(event.maintenance);
    assert_eq!(event.labels["team"], "web");
}

#[test]
fn reading_stops_when_the_answer_is_known() {
    let website = Website::start(Behaviour::custom(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfound here")?;
        to.flush()?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }));
    let event = check(&website.url(), &json!({"regex": "fo+und", "timeout": "5s"}));
    assert_is(&event, Outcome::Up, "");
    assert!(event.total_us < 1_500_000, "{event:#?}");
    assert_eq!(event.body_match, Some(true));
}

#[test]
fn a_bomb_costs_its_limit() {
    let bomb = Website::start(Behaviour::GzipBomb);
    let event = check(&bomb.url(), &json!({"regex": "never there"}));
    assert_is(
        &event,
        Outcome::Body,
        "not found in the first 1048576 bytes",
    );
    assert_eq!(event.body_bytes, Some(1 << 20));
}
