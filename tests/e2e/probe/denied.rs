//! Addresses that no check may reach: `PROBE_DENY_NETWORKS`, with names, proxies and overrides.

use serde_json::{Value, json};
use sitewatch::event::Outcome;
use sitewatch_tests::names::NameServer;
use sitewatch_tests::namespace::{self, ResolvConf};
use sitewatch_tests::websites::{Behaviour, Page, Website};

use super::network::entered;
use super::{assert_is, events, plain, probe, site};

/// A namespace with a name server.
fn names() -> (ResolvConf, NameServer) {
    namespace::loopback();
    let resolv = namespace::resolv_conf("nameserver 127.0.0.1\n");
    (resolv, NameServer::start())
}

/// Checks one site and says how that ended, with these variables.
#[track_caller]
fn assert_ends(url: &str, more: &Value, vars: &[(&str, &str)], outcome: Outcome, error: &str) {
    let finished = probe(&[site("site", url, more)])
        .vars(vars.iter().copied())
        .run()
        .exits(0);
    assert_is(&events(&finished)["site"], outcome, error);
}

#[test]
fn an_override_does_not_hide_a_target_from_a_proxy() {
    let proxy = Website::up("from the proxy");
    let url = proxy.url();
    let vars = [
        ("PROBE_DENY_NETWORKS", "non-public"),
        ("HTTP_PROXY", url.as_str()),
        ("HTTPS_PROXY", url.as_str()),
    ];
    for (url, host, forbidden) in [
        (
            "http://169.254.169.254/latest/",
            "169.254.169.254",
            "169.254.169.254",
        ),
        (
            "https://169.254.169.254/latest/",
            "169.254.169.254",
            "169.254.169.254",
        ),
        ("http://localhost:6443/", "localhost", "::1"),
        ("https://localhost:6443/", "localhost", "::1"),
        (
            "http://[64:ff9b::a9fe:a9fe]/",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
        ),
    ] {
        let error = format!("PROBE_DENY_NETWORKS forbids {forbidden}");
        let hidden = json!({"resolve": {host: "93.184.216.34"}});
        assert_ends(url, &hidden, &vars, Outcome::Denied, &error);
        assert_ends(url, &plain(), &vars, Outcome::Denied, &error);
    }
    assert_eq!(proxy.connections(), 0, "{:?}", proxy.requests());
}

#[test]
fn a_name_with_one_denied_address_is_refused() {
    if !entered!("a_name_with_one_denied_address_is_refused") {
        return;
    }
    let _names = names();
    let inside = Website::up("secrets");
    let url = inside.url_on("split.example");
    let vars = [("PROBE_DENY_NETWORKS", "loopback")];
    assert_ends(&url, &plain(), &vars, Outcome::Denied, "forbids 127.0.0.1");
    assert_eq!(inside.connections(), 0);
    // The other one has no route here; the one that is there is tried and answers.
    assert_ends(&url, &plain(), &[], Outcome::Up, "");
}

#[test]
fn a_proxy_is_given_the_address_that_was_judged() {
    if !entered!("a_proxy_is_given_the_address_that_was_judged") {
        return;
    }
    let _names = names();
    let refusing = Website::start(Behaviour::Page(Page::new(403, "no")));
    let url = refusing.url();
    let proxy = ("HTTPS_PROXY", url.as_str());
    let https = "https://public.example/";
    for vars in [
        vec![proxy],
        vec![proxy, ("PROBE_DENY_NETWORKS", "private,loopback")],
    ] {
        assert_ends(https, &plain(), &vars, Outcome::Connect, "403 to CONNECT");
    }
    let targets: Vec<_> = refusing
        .requests()
        .iter()
        .map(|request| request.target.clone())
        .collect();
    assert_eq!(targets, ["public.example:443", "198.51.100.1:443"]);
}

#[test]
fn proxies_are_judged_unless_the_operator_named_them() {
    if !entered!("proxies_are_judged_unless_the_operator_named_them") {
        return;
    }
    let _names = names();
    let proxy = Website::up("from the proxy");
    let denies = ("PROBE_DENY_NETWORKS", "loopback");
    let target = "http://public.example/";
    let through = json!({"proxy": proxy.url()});
    assert_ends(
        target,
        &through,
        &[denies],
        Outcome::Denied,
        "forbids 127.0.0.1",
    );
    // The operator's own may be where it likes, but must not lead to what is denied.
    let via = proxy.url_on("proxy.example");
    let vars = [denies, ("HTTP_PROXY", via.as_str())];
    assert_ends(target, &plain(), &vars, Outcome::Up, "");
    assert_ends(
        "http://127.0.0.1:1/",
        &plain(),
        &vars,
        Outcome::Denied,
        "127.0.0.1",
    );
    // Nor can a site say that it is somewhere else: its password would go there.
    let elsewhere = json!({"resolve": {"proxy.example": "198.51.100.1"}});
    assert_ends(target, &elsewhere, &vars, Outcome::Up, "");
    assert_eq!(proxy.requests().len(), 2);
}
