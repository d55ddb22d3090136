//! What is this machine's own fault is never the website's, each in a network of its own.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use sitewatch::event::{CheckEvent, Outcome};
use sitewatch_tests::certificates::CertificateAuthority;
use sitewatch_tests::command::{Finished, Run};
use sitewatch_tests::names::NameServer;
use sitewatch_tests::namespace;
use sitewatch_tests::websites::{Behaviour, Website};

use super::{assert_is, events, probe, site};

/// The whole name of a test of this module, by which it is started again in its namespace.
macro_rules! entered {
    ($test:expr) => {
        sitewatch_tests::namespace::entered(
            concat!(module_path!(), "::", $test).trim_start_matches("e2e::"),
        )
    };
}
pub(super) use entered;

/// The same site under several names, each with a host of its own.
fn sites(urls: &[(&str, &str)], more: &Value) -> Vec<Value> {
    urls.iter()
        .map(|(name, url)| site(name, url, more))
        .collect()
}

fn soon() -> Value {
    json!({"timeout": "1s"})
}

#[track_caller]
fn assert_unknown(event: &CheckEvent<'_>, error: &str) {
    assert_is(event, Outcome::Local, error);
    assert_eq!(event.up, None);
}

/// Every check was in vain: the run says so, and why.
#[track_caller]
fn assert_blind(finished: Finished, checks: usize, why: &str) -> Finished {
    let plural = if checks == 1 { "" } else { "s" };
    let canaries = if why == NO_UPLINK { NO_CANARY } else { "" };
    finished.exits(69).logs(&format!(
        "{canaries}WARN  probe: {checks} check{plural}: 0 up, 0 down, {checks} unknown, all for a reason of this machine's ({why})\n"
    ))
}

#[test]
fn two_sites_without_any_network_are_unknown() {
    if !entered!("two_sites_without_any_network_are_unknown") {
        return;
    }
    let urls = [
        ("name", "http://shop.example/"),
        ("address", "http://198.51.100.1/"),
    ];
    let finished = probe(&sites(&urls, &soon())).run();
    // The one that was found out first tells why.
    let first = finished.stdout.lines().next().unwrap().to_owned();
    let why = CheckEvent::decode(first.as_bytes()).unwrap().error.unwrap();
    let finished = assert_blind(finished, 2, &why);
    let events = events(&finished);
    assert_unknown(&events["name"], "no name server");
    assert_unknown(&events["address"], "no route to 198.51.100.1");
}

#[test]
fn without_name_servers_to_ask_nothing_is_known_of_names() {
    if !entered!("without_name_servers_to_ask_nothing_is_known_of_names") {
        return;
    }
    namespace::loopback();
    let urls = [("name", "http://shop.example/")];
    let _resolv = namespace::resolv_conf("# nothing\n");
    let empty = assert_blind(
        probe(&sites(&urls, &soon())).run(),
        1,
        "/etc/resolv.conf cannot be used: no nameservers found in config",
    );
    assert_unknown(&events(&empty)["name"], "/etc/resolv.conf cannot be used");
    namespace::unreadable_resolv_conf();
    let unreadable = assert_blind(
        probe(&sites(&urls, &soon())).run(),
        1,
        "/etc/resolv.conf cannot be used: Input/output error (os error 5)",
    );
    assert_unknown(
        &events(&unreadable)["name"],
        "/etc/resolv.conf cannot be used",
    );
}

#[test]
fn a_family_that_this_machine_does_not_have_is_not_the_sites_fault() {
    if !entered!("a_family_that_this_machine_does_not_have_is_not_the_sites_fault") {
        return;
    }
    namespace::loopback();
    let _resolv = namespace::resolv_conf("nameserver 127.0.0.1\n");
    let _names = NameServer::start();
    let living = Website::up("x");
    let port = living.port();
    let urls = [
        ("an address", "http://[2001:db8::1]/".to_owned()),
        ("a name with no other", format!("http://v6.example:{port}/")),
        ("one of two", format!("http://both.example:{port}/")),
        (
            "one of two, which refuses",
            "http://both.example:1/".to_owned(),
        ),
    ];
    let urls: Vec<_> = urls
        .iter()
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    let finished = probe(&sites(&urls, &soon())).run().exits(0);
    let events = events(&finished);
    assert_unknown(&events["an address"], "no route to 2001:db8::1");
    assert_unknown(&events["a name with no other"], "no route to 2001:db8::7");
    assert_is(&events["one of two"], Outcome::Up, "");
    let refuses = &events["one of two, which refuses"];
    assert_is(refuses, Outcome::Connect, "refused by 127.0.0.1");
    finished.stderr_has("some for a reason of this machine's (");
}

#[test]
fn a_dead_gateway_is_ours_and_a_dead_neighbour_is_the_site() {
    if !entered!("a_dead_gateway_is_ours_and_a_dead_neighbour_is_the_site") {
        return;
    }
    namespace::loopback();
    namespace::dead_end();
    let patient = json!({"timeout": "20s"});
    let mut all = sites(
        &[
            ("behind", "http://198.51.100.1/"),
            ("next door", "http://192.0.2.9/"),
        ],
        &patient,
    );
    all.push(site("behind, in haste", "http://198.51.100.2/", &soon()));
    let finished = probe(&all).run().exits(0);
    let events = events(&finished);
    assert_unknown(&events["behind"], "the gateway 192.0.2.1 does not answer");
    assert_unknown(
        &events["behind, in haste"],
        "the gateway 192.0.2.1 does not answer",
    );
    assert_is(
        &events["next door"],
        Outcome::Connect,
        "no route to 192.0.2.9",
    );
}

#[test]
fn ports_that_are_used_up_are_not_the_sites_fault() {
    if !entered!("ports_that_are_used_up_are_not_the_sites_fault") {
        return;
    }
    namespace::loopback();
    // Two connections at a time to one address.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001").unwrap();
    let hangs = Website::start(Behaviour::NeverAnswers);
    let url = hangs.url();
    let all: Vec<Value> = (0..8)
        .map(|number| site(&number.to_string(), &url, &json!({"timeout": "3s"})))
        .collect();
    let finished = probe(&all).run().exits(0);
    let events = events(&finished);
    let (down, unknown): (Vec<_>, Vec<_>) =
        events.values().partition(|event| event.up == Some(false));
    assert!(!down.is_empty() && !unknown.is_empty(), "{finished}");
    for event in unknown {
        assert_unknown(event, "no local address or port for the connection");
    }
}

/// A round over names of one website, one check after the other, in which `happens` before the
/// answer to the second one.
fn interrupted(happens: fn(&NameServer)) {
    namespace::loopback();
    let _resolv = namespace::resolv_conf("nameserver 127.0.0.1\n");
    let names = NameServer::start();
    let at_second = Mutex::new(0);
    let website = Website::start(Behaviour::custom(move |_, to| {
        let mut count = at_second.lock().unwrap();
        *count += 1;
        if *count == 2 {
            happens(&names);
        }
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }));
    let named = |name: &str| (name.to_owned(), website.url_on(&format!("{name}.example")));
    let all = ["dead-servfail", "first", "second", "third", "fourth"].map(named);
    let all: Vec<Value> = all
        .iter()
        .map(|(name, url)| site(name, url, &soon()))
        .collect();
    let finished = probe(&all).var("CHECK_CONCURRENCY", "1").run().exits(0);
    let events = events(&finished);
    assert_is(&events["dead-servfail"], Outcome::Dns, "");
    assert_eq!(events["dead-servfail"].up, Some(false));
    for name in ["first", "second"] {
        assert_is(&events[name], Outcome::Up, "");
    }
    for name in ["third", "fourth"] {
        assert_unknown(&events[name], "no name server answers this machine");
    }
    finished.logs("INFO  probe: 5 checks: 2 up, 1 down, 2 unknown, some for a reason of this machine's (no name server answers this machine, whatever it is asked for)\n");
}

#[test]
fn a_resolver_that_is_killed_in_the_middle_of_a_round() {
    if entered!("a_resolver_that_is_killed_in_the_middle_of_a_round") {
        interrupted(NameServer::kill);
    }
}

#[test]
fn a_resolver_that_falls_silent_in_the_middle_of_a_round() {
    if entered!("a_resolver_that_falls_silent_in_the_middle_of_a_round") {
        interrupted(NameServer::fall_silent);
    }
}

#[test]
fn a_name_that_alone_is_not_answered_is_the_sites_fault() {
    if !entered!("a_name_that_alone_is_not_answered_is_the_sites_fault") {
        return;
    }
    namespace::loopback();
    let _resolv = namespace::resolv_conf("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    let _names = NameServer::start();
    for (name, timeout, outcome) in [
        ("servfail", "5s", Outcome::Dns),
        ("refused", "5s", Outcome::Dns),
        // The time of the check is over first, and that of the resolver.
        ("mute", "300ms", Outcome::Timeout),
        ("mute", "20s", Outcome::Dns),
    ] {
        let url = format!("http://{name}.example/");
        let more = json!({"timeout": timeout});
        let finished = probe(&[site("site", &url, &more)]).run().exits(0);
        let event = &events(&finished)["site"];
        assert_is(event, outcome, "name server");
        assert_eq!(event.up, Some(false), "{name}");
    }
}

/// No way out, packets vanish: `198.51.100.x` is what is beyond the uplink.
fn no_uplink() -> [(&'static str, &'static str); 3] {
    namespace::loopback();
    namespace::dead_uplink();
    [
        ("one", "http://198.51.100.1/"),
        ("two", "http://198.51.100.2/"),
        ("three", "https://198.51.100.3/"),
    ]
}

/// What is said of sites that do not answer, beside canaries that do not.
const NO_UPLINK: &str =
    "no canary (PROBE_CANARIES) answers, so this may be our uplink: no connection in time";

const NO_CANARY: &str =
    "WARN  probe: no canary (PROBE_CANARIES) answers: this machine's uplink may be away\n";

/// Nobody listens there: a canary that says at once that it is dead.
const DEAD: &str = "127.0.0.1:1";

fn with_canaries(urls: &[(&str, &str)], canaries: &str) -> Run {
    probe(&sites(urls, &soon())).var("PROBE_CANARIES", canaries)
}

#[test]
fn without_an_uplink_sites_are_unknown_if_the_canaries_are_dead_as_well() {
    if !entered!("without_an_uplink_sites_are_unknown_if_the_canaries_are_dead_as_well") {
        return;
    }
    let urls = no_uplink();
    // Those beyond the uplink are as silent as the sites.
    let dead = format!("{DEAD} 198.51.100.7:443 https://198.51.100.8/");
    let finished = assert_blind(with_canaries(&urls, &dead).run(), 3, NO_UPLINK);
    for event in events(&finished).values() {
        assert_unknown(event, "no canary (PROBE_CANARIES) answers");
        assert_unknown(event, "no connection in time");
    }
    // A round of one site, which is most of its round, and retries of it.
    let alone = site(
        "one",
        urls[0].1,
        &json!({"timeout": "300ms", "retries": 1, "retry_delay": 0}),
    );
    let finished = probe(&[alone]).var("PROBE_CANARIES", DEAD).run();
    let finished = assert_blind(finished, 1, NO_UPLINK);
    assert_unknown(&events(&finished)["one"], "no canary");
    assert_eq!(events(&finished)["one"].attempts, 2);
}

#[test]
fn sites_that_are_dead_beside_a_living_canary_are_down() {
    if !entered!("sites_that_are_dead_beside_a_living_canary_are_down") {
        return;
    }
    let urls = no_uplink();
    let _resolv = namespace::resolv_conf("nameserver 127.0.0.1\n");
    let _names = NameServer::start();
    let canary = Website::start(Behaviour::NeverAnswers);
    let page = Website::up("any");
    // What is denied to sites is not denied to canaries, and any that answers will do.
    for living in [
        format!("{DEAD},127.0.0.1:{}", canary.port()),
        format!("{DEAD},canary.example:{}", canary.port()),
        page.url(),
    ] {
        let finished = with_canaries(&urls, &living)
            .var("PROBE_DENY_NETWORKS", "loopback")
            .run()
            .exits(0)
            .logs("INFO  probe: 3 checks: 0 up, 3 down\n");
        for event in events(&finished).values() {
            assert_is(event, Outcome::Timeout, "no connection in time");
        }
    }
    assert!(canary.connections() > 0 && page.requests().len() == 1);
    // And without any canary.
    let finished = probe(&sites(&urls, &soon())).run().exits(0);
    finished.logs("INFO  probe: 3 checks: 0 up, 3 down\n");
}

#[test]
fn one_dead_site_among_living_ones_is_down_whatever_the_canaries_say() {
    if !entered!("one_dead_site_among_living_ones_is_down_whatever_the_canaries_say") {
        return;
    }
    let [dead, ..] = no_uplink();
    let living = Website::up("x");
    let url = living.url();
    let urls = [dead, ("a", &url), ("b", &url)];
    let canary = format!("127.0.0.1:{}", living.port());
    for (canaries, warning) in [("", ""), (DEAD, NO_CANARY), (&canary, "")] {
        let finished = with_canaries(&urls, canaries).run().exits(0);
        finished.logs(&format!("{warning}INFO  probe: 3 checks: 2 up, 1 down\n"));
    }
}

#[test]
fn what_is_not_decided_when_the_run_must_end_is_unknown_and_says_so() {
    if !entered!("what_is_not_decided_when_the_run_must_end_is_unknown_and_says_so") {
        return;
    }
    let [dead, ..] = no_uplink();
    let finished = with_canaries(&[dead], "198.51.100.7:443")
        .var("PROBE_DEADLINE", "2s")
        .run()
        .exits(75);
    assert!(finished.elapsed < sitewatch_tests::wait::SOON, "{finished}");
    assert_unknown(
        &events(&finished)["one"],
        "the run ended before a canary (PROBE_CANARIES) had answered",
    );
}

#[test]
fn a_window_goes_on_while_canaries_are_asked() {
    if !entered!("a_window_goes_on_while_canaries_are_asked") {
        return;
    }
    let urls = no_uplink();
    let living = Website::up("x");
    let mut all = sites(&urls, &json!({"timeout": "300ms", "interval": 1}));
    all.push(site("living", &living.url(), &json!({"interval": 1})));
    let finished = probe(&all)
        .var("PROBE_CANARIES", DEAD)
        .var("PROBE_WINDOW", "4s")
        .run()
        .exits(0);
    let of = |part: &str| {
        finished
            .stdout
            .lines()
            .filter(|line| line.contains(part))
            .count()
    };
    assert_eq!(of("\"living\""), 4, "{finished}");
    assert_eq!((of("no canary"), of("\"timeout\"")), (12, 0), "{finished}");
}

/// Its queue is full: the kernel answers no further connection.
fn full() -> (TcpListener, Vec<std::net::TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
    bind(&socket, &any).unwrap();
    listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
    {
        waiting.push(stream);
    }
    (listener, waiting)
}

#[test]
fn hung_sites_are_down_however_busy_this_machine_is() {
    // The kernel accepts for it, and nobody ever reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    let (full, _waiting) = full();
    let unconnected = format!("http://{}/", full.local_addr().unwrap());
    // The system's certificates take a CPU longer to load than the check may take.
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, CertificateAuthority::new("busy").pem()).unwrap();
    let mut hung = Vec::new();
    for number in 0..5 {
        hung.push((format!("no answer {number}"), format!("http://{silent}/")));
        hung.push((
            format!("no handshake {number}"),
            format!("https://{silent}/"),
        ));
        hung.push((format!("no connection {number}"), unconnected.clone()));
    }
    let more = json!({"timeout": "1s", "tls_ca_file": ca});
    let all: Vec<Value> = hung
        .iter()
        .map(|(name, url)| site(name, url, &more))
        .collect();
    // How long a check waits for its CPU is the scheduler's choice: until one has waited for so long
    // that the clock alone would have taken it for our fault.
    let was_busy = (0..20).any(|_| {
        let finished = super::running::starved(&all).exits(0);
        let events = events(&finished);
        for (name, _) in &hung {
            assert_is(&events[name.as_str()], Outcome::Timeout, "in time");
        }
        let mut waits = events.values().filter_map(|event| event.local_wait_us);
        waits.any(|wait| wait > 1_000_000 / 20)
    });
    assert!(was_busy);
}
