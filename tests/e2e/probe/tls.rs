//! Certificates, good and bad in every way, made on the fly.

use std::net::TcpListener;

use serde_json::{Value, json};
use sitewatch::event::Outcome;
use sitewatch_tests::certificates::{CertificateAuthority, Kind, Validity};
use sitewatch_tests::command::Run;
use sitewatch_tests::websites::{Behaviour, Page, SslVersion, Tls, Website};

use super::{assert_is, events, probe, site};

struct World {
    authority: CertificateAuthority,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            authority: CertificateAuthority::new("Sitewatch test CA"),
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(world.path("ca.pem"), world.authority.pem()).unwrap();
        let client = world.authority.client("probe", Validity::days(1));
        std::fs::write(world.path("client.pem"), client.chain).unwrap();
        std::fs::write(world.path("client.key"), client.key).unwrap();
        world
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn probe(&self, sites: &[Value]) -> Run {
        probe(sites).var("SITES_TLS_DIR", self.directory.path())
    }

    fn website(&self, kind: Kind) -> Website {
        serving(&Tls::new(&self.authority, kind))
    }

    /// Trusting the CA, and whatever `more` says.
    fn site(&self, name: &str, url: &str, more: &Value) -> Value {
        let mut fields = more.clone();
        fields["tls_ca_file"] = self.path("ca.pem").into();
        site(name, url, &fields)
    }
}

fn serving(tls: &Tls) -> Website {
    Website::start_tls(Behaviour::Page(Page::ok("secret")), tls)
}

#[test]
fn a_common_name_counts_for_nothing() {
    let world = World::new();
    let website = world.website(Kind::CommonNameOnly);
    let finished = world
        .probe(&[world.site("site", &website.url_on("localhost"), &json!({}))])
        .run()
        .exits(0);
    assert_is(
        &events(&finished)["site"],
        Outcome::Certificate,
        "no subject alternative names, and its common name does not count",
    );
}

#[test]
fn each_certificate_is_judged_and_tolerated_ones_still_tell_why() {
    let world = World::new();
    let rows = [
        ("good", Kind::Good, ""),
        ("with its intermediate", Kind::WithIntermediate, ""),
        ("expired", Kind::Expired, "expired on"),
        ("not yet valid", Kind::NotYetValid, "is not valid before"),
        ("wrong host", Kind::WrongHost, "is for another host"),
        ("unknown CA", Kind::UnknownCa, "issuer is unknown here"),
        ("signed by itself", Kind::SelfSigned, "signed by itself"),
        (
            "incomplete chain",
            Kind::MissingIntermediate,
            "issuer is unknown here",
        ),
        ("weak key", Kind::WeakKey, "too weak"),
    ];
    let websites: Vec<Website> = rows
        .iter()
        .map(|(_, kind, _)| world.website(*kind))
        .collect();
    let mut sites = Vec::new();
    for ((name, _, _), website) in rows.iter().zip(&websites) {
        sites.push(world.site(name, &website.url(), &json!({})));
        sites.push(world.site(
            &format!("{name}, tolerated"),
            &website.url(),
            &json!({"tls_verify": false}),
        ));
    }
    let finished = world.probe(&sites).run().exits(0);
    let events = events(&finished);
    for (name, _, error) in rows {
        let (strict, tolerant) = (&events[name], &events[&format!("{name}, tolerated")]);
        let expected = if error.is_empty() {
            Outcome::Up
        } else {
            Outcome::Certificate
        };
        assert_is(strict, expected, error);
        for event in [strict, tolerant] {
            assert!(event.certificate_not_after.is_some(), "{event:#?}");
            assert!(event.certificate_issuer.is_some(), "{event:#?}");
            assert_eq!(event.tls_version.as_deref(), Some("TLSv1.3"));
            let why = event.certificate_error.as_deref().unwrap_or_default();
            assert!(
                why.contains(error) && why.is_empty() == error.is_empty(),
                "{event:#?}"
            );
        }
        assert_is(tolerant, Outcome::Up, "");
    }
    for website in &websites[2..] {
        assert_eq!(
            website.requests().len(),
            1,
            "a request went to a server that is not trusted"
        );
    }
}

#[test]
fn a_certificate_that_expires_soon_is_its_own_failure() {
    let world = World::new();
    let website = world.website(Kind::EndsInDays(10));
    let sites = [
        world.site("soon", &website.url(), &json!({"certificate_min_days": 14})),
        world.site(
            "late enough",
            &website.url(),
            &json!({"certificate_min_days": 7}),
        ),
    ];
    let finished = world.probe(&sites).run().exits(0);
    let events = events(&finished);
    assert_is(
        &events["soon"],
        Outcome::Certificate,
        "in less than 14 days",
    );
    assert_eq!(
        events["soon"].status,
        Some(200),
        "the rest was looked at all the same"
    );
    assert_is(&events["late enough"], Outcome::Up, "");
}

#[test]
fn what_expires_first_is_found_on_the_whole_way() {
    let world = World::new();
    let good = world.website(Kind::Good);
    let issuer = world
        .authority
        .intermediate("Old Issuer", Validity::days(9));
    let chain = serving(&Tls::with(
        issuer.server(&["localhost", "127.0.0.1"], Validity::days(30)),
    ));
    // As the one above, with a certificate that the way to the root does without.
    let mut spare = world.authority.certificate(Kind::Good);
    spare.chain.push_str(issuer.pem());
    let spare = serving(&Tls::with(spare));
    let redirect = Behaviour::Redirect {
        to: good.url(),
        hops: 1,
    };
    let way = Website::start_tls(redirect, &Tls::new(&world.authority, Kind::EndsInDays(5)));
    let soon = json!({"certificate_min_days": 14});
    let sites = [
        world.site("good", &good.url(), &soon),
        world.site("chain", &chain.url(), &soon),
        world.site("spare", &spare.url(), &soon),
        world.site("way", &way.url_on("localhost"), &soon),
    ];
    let finished = world.probe(&sites).run().exits(0);
    let events = events(&finished);
    for (name, subject, host, days) in [
        ("good", "localhost", "127.0.0.1", 30),
        ("chain", "Old Issuer", "127.0.0.1", 9),
        ("spare", "localhost", "127.0.0.1", 30),
        ("way", "localhost", "localhost", 5),
    ] {
        let event = &events[name];
        assert_eq!(event.chain_subject.as_deref(), Some(subject), "{event:#?}");
        assert_eq!(event.chain_host.as_deref(), Some(host), "{event:#?}");
        let left = event.chain_not_after.unwrap() - event.checked_at;
        let hours = left.total(jiff::Unit::Hour).unwrap();
        assert!((hours / 24.0 - f64::from(days)).abs() < 0.1, "{event:#?}");
        let error = format!("the certificate of {subject}, sent by {host}, expires on");
        if days < 14 {
            assert_is(event, Outcome::Certificate, &error);
        } else {
            assert_is(event, Outcome::Up, "");
        }
    }
    // What is said of the last server's own certificate stays what it was.
    let leaf = events["way"].certificate_not_after.unwrap() - events["way"].checked_at;
    assert!(leaf.total(jiff::Unit::Hour).unwrap() > 24.0 * 29.0);
}

#[test]
fn servers_that_want_a_certificate_of_ours() {
    let world = World::new();
    let website =
        serving(&Tls::new(&world.authority, Kind::Good).client_certificate(&world.authority));
    let ours = json!({"tls_cert_file": world.path("client.pem"), "tls_key_file": world.path("client.key")});
    let sites = [
        world.site("without", &website.url(), &json!({})),
        world.site("with", &website.url(), &ours),
    ];
    let finished = world.probe(&sites).run().exits(0);
    let events = events(&finished);
    assert_is(&events["without"], Outcome::Tls, "certificate required");
    assert_is(&events["with"], Outcome::Up, "");
}

#[test]
fn versions_and_names() {
    let world = World::new();
    let old = serving(
        &Tls::new(&world.authority, Kind::Good).versions(SslVersion::TLS1_2, SslVersion::TLS1_2),
    );
    let elsewhere = world.website(Kind::WrongHost);
    let sites = [
        world.site("1.2 is spoken", &old.url(), &json!({})),
        world.site(
            "1.3 is wanted",
            &old.url(),
            &json!({"tls_min_version": "1.3"}),
        ),
        world.site(
            "another name",
            &elsewhere.url(),
            &json!({"tls_server_name": "elsewhere.example"}),
        ),
    ];
    let finished = world.probe(&sites).run().exits(0);
    let events = events(&finished);
    assert_is(&events["1.2 is spoken"], Outcome::Up, "");
    assert_eq!(
        events["1.2 is spoken"].tls_version.as_deref(),
        Some("TLSv1.2")
    );
    assert_is(&events["1.3 is wanted"], Outcome::Tls, "version");
    assert_is(&events["another name"], Outcome::Up, "");
}

#[test]
fn a_handshake_that_hangs_is_a_timeout() {
    // Not a website: one that reads requests takes what a client says in TLS for a malformed one
    // now and then, and hangs up. Whom nobody accepts, the kernel keeps waiting.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let event = super::check(&url, &json!({"timeout": "2s"}));
    assert_is(
        &event,
        Outcome::Timeout,
        "no end of the TLS handshake in time",
    );
}

#[test]
fn a_file_that_is_missing_is_told_before_any_check() {
    let sites = [site(
        "shop",
        "https://127.0.0.1:1/",
        &json!({"tls_ca_file": "nowhere.pem"}),
    )];
    let directory = tempfile::tempdir().unwrap();
    let finished = probe(&sites)
        .var("SITES_TLS_DIR", directory.path())
        .run()
        .exits(78);
    finished
        .stdout_is("")
        .logs("ERROR probe: site shop: tls_ca_file nowhere.pem cannot be used: no such file (exit code 78)\n");
}
