//! E-mail through a real server of SMTP.

use std::fs;

use serde_json::Value;
use sitewatch_tests::certificates::{CertificateAuthority, Validity};
use sitewatch_tests::command::{Run, Running};
use sitewatch_tests::{python, wait};

use super::{beside, make_due, record};
use crate::support::{Prepared, down, last_line};

/// A running server.
struct Server {
    running: Running,
    port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    fn start(kind: &str, login: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let authority = CertificateAuthority::new("mail");
        let issued = authority.server(&["localhost"], Validity::days(1));
        fs::write(path("certificate.pem"), issued.chain).unwrap();
        fs::write(path("key.pem"), issued.key).unwrap();
        fs::write(path("ca.pem"), authority.pem()).unwrap();
        let running = Run::program(python::interpreter())
            .arg(beside("smtpd.py"))
            .arg(kind)
            .arg(path("certificate.pem"))
            .arg(path("key.pem"))
            .arg(login)
            .spawn();
        let port = wait::for_some("a port", wait::SOON, || {
            let said = running.stdout_so_far();
            said.split_once('\n')?.0.parse().ok()
        });
        Self {
            running,
            port,
            directory,
        }
    }

    /// What it has taken, which is so many letters or more.
    fn taken(&self, letters: usize) -> Vec<Value> {
        let said = || self.running.stdout_so_far();
        // Its output is read by a thread of ours.
        wait::until("the letters are there", wait::SOON, || {
            said().lines().count() > letters
        });
        said()
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn notify(&self, prepared: &Prepared, scheme: &str, rest: &str) -> Run {
        let port = self.port;
        let (login, query) = rest.split_once('?').unwrap();
        let url = format!("{scheme}://{login}localhost:{port}?from=alerts@example.org&{query}");
        prepared
            .notify(&url)
            .var("SSL_CERT_FILE", self.directory.path().join("ca.pem"))
    }
}

#[test]
fn letters_go_over_tls_with_a_login_and_without_either() {
    for (kind, login, scheme, rest) in [
        (
            "starttls",
            "user:pa:ss",
            "smtp",
            "user:pa%3Ass@?to=b@example.org",
        ),
        ("tls", "user:pass", "smtps", "user:pass@?to=b@example.org"),
        ("plain", "-", "smtp", "?tls=never&to=b@example.org"),
    ] {
        let server = Server::start(kind, login);
        let prepared = Prepared::new("notify");
        record(&prepared, &[down("shöp", 70)]);
        server.notify(&prepared, scheme, rest).run().exits(0);
        let [letter] = server.taken(1).try_into().unwrap();
        assert_eq!(letter["tls"], kind != "plain", "{kind}");
        assert_eq!(letter["login"], login != "-", "{kind}");
        assert_eq!(letter["to"][0], "b@example.org");
        let key: String = prepared
            .client()
            .query_one("select message::text from notifications", &[])
            .unwrap()
            .get(0);
        let text = letter["text"].as_str().unwrap();
        for part in [
            &format!("Message-ID: <{key}@example.org>"),
            "From: alerts@example.org",
            "Content-Type: multipart/alternative",
            "text/plain",
            "text/html",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_nothing() {
    let server = Server::start("starttls", "user:pass");
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    let rest = "user:hunter2@?to=b@example.org";
    server
        .notify(&prepared, "smtp", rest)
        .run()
        .exits(75)
        .stderr_has("it did not let us log in (535)");
    make_due(&prepared);
    // Signed by nobody known.
    let refused = server
        .notify(&prepared, "smtp", rest)
        .var("SSL_CERT_FILE", "/dev/null")
        .run()
        .exits(75);
    assert!(
        refused.stderr.contains("certificate verify failed"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    // Without STARTTLS there is no login.
    let plain = Server::start("plain", "-");
    make_due(&prepared);
    plain
        .notify(&prepared, "smtp", rest)
        .run()
        .exits(75)
        .stderr_has("it offers no STARTTLS");
    assert!(server.taken(0).is_empty() && plain.taken(0).is_empty());
}

#[test]
fn a_recipient_that_is_refused_keeps_it_from_nobody() {
    let server = Server::start("plain", "-");
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    // Whom the server wants to be asked again for holds up all, so that nobody gets it twice.
    server
        .notify(
            &prepared,
            "smtp",
            "?tls=never&to=b@example.org,later@example.org",
        )
        .run()
        .exits(75)
        .stderr_has("451");
    make_due(&prepared);
    let to = "?tls=never&to=unknown@example.org,b@example.org";
    let sent = server
        .notify(&prepared, "smtp", to)
        .run()
        .exits(0)
        .stderr_has("e-mail was refused for unknown@example.org: 550");
    assert_eq!(last_line(&sent.stderr), "1 message sent");
    let [letter] = server.taken(1).try_into().unwrap();
    assert_eq!(letter["to"], serde_json::json!(["b@example.org"]));
    let prepared = Prepared::new("notify");
    record(&prepared, &[down("shop", 70)]);
    server
        .notify(&prepared, "smtp", "?tls=never&to=unknown@example.org")
        .run()
        .exits(75)
        .stderr_has("it takes mail for none of the recipients");
}
