//! Networks that nothing may be sent to: `NOTIFY_DENY_NETWORKS`.

use std::net::TcpListener;

use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::{record, told, webhook};
use crate::support::{Prepared, down};

#[test]
fn nothing_is_sent_to_a_network_that_is_denied() {
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    let receiver = Website::up("taken");
    let smtp = TcpListener::bind("127.0.0.1:0").unwrap();
    smtp.set_nonblocking(true).unwrap();
    let url = receiver.url();
    let name = url.replace("127.0.0.1", "localhost");
    let mail = format!(
        "smtp://{}?tls=never&from=a@example.org&to=b@example.org",
        smtp.local_addr().unwrap()
    );
    let addresses = format!("webhook+{url} slack+{name}#name=by-name {mail}");
    let run = prepared
        .notify(&addresses)
        .var("NOTIFY_DENY_NETWORKS", "loopback")
        .run()
        .exits(75);
    let refusals = run.stderr.matches("NOTIFY_DENY_NETWORKS forbids").count();
    assert_eq!(refusals, 3, "{run}");
    assert!(receiver.requests().is_empty());
    assert!(smtp.accept().is_err());
}

#[test]
fn a_proxy_is_not_asked_for_what_is_denied() {
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    // The operator's own, in a network that is denied itself.
    let proxy = Website::start(Behaviour::Page(Page::new(403, "no")));
    let notify = |address: &str| {
        prepared
            .notify(address)
            .var("HTTP_PROXY", proxy.url())
            .var("NOTIFY_DENY_NETWORKS", "loopback")
    };
    notify("webhook+http://127.0.0.1:9/hook#name=inside")
        .run()
        .exits(75)
        .stderr_has("NOTIFY_DENY_NETWORKS forbids 127.0.0.1: not sent");
    assert!(proxy.requests().is_empty());
    record(&prepared, &[down("blog", 60)]);
    notify("webhook+http://192.0.2.1/hook#name=outside")
        .run()
        .exits(75)
        .stderr_has("outside did not take a message: the proxy refused to connect to it");
    let request = &proxy.requests()[0];
    assert_eq!(
        (&*request.method, &*request.target),
        ("CONNECT", "192.0.2.1:80")
    );
}

#[test]
fn what_is_not_denied_is_told() {
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    let receiver = Website::up("taken");
    prepared
        .notify(&webhook(&receiver))
        .var("NOTIFY_DENY_NETWORKS", "private 192.0.2.0/24")
        .run()
        .exits(0);
    assert_eq!(told(&receiver), ["down shop"]);
}
