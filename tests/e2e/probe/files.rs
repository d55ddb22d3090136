//! Files that sites name: inside the operator's directory, regular, of bounded size, or refused
//! before the first check and without waiting for them.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use sitewatch::event::Outcome;
use sitewatch_tests::certificates::{CertificateAuthority, Kind};
use sitewatch_tests::websites::{Behaviour, Page, Tls, Website};

use super::{assert_is, events, probe, site};

/// Who waits for a FIFO waits for ever.
const MAX_ELAPSED: Duration = Duration::from_secs(30);

#[test]
fn a_file_outside_the_directory_or_that_is_none_stops_the_run_before_any_check() {
    let outside = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::new("files");
    fs::write(outside.path().join("ca.pem"), authority.pem()).unwrap();
    let inside = outside.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let path = |name: &str| inside.join(name).display().to_string();
    mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(path("directory")).unwrap();
    fs::File::create(path("huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    fs::write(path("empty"), "").unwrap();
    symlink("../ca.pem", path("out")).unwrap();
    symlink("/dev/ptmx", path("device")).unwrap();
    let website = Website::up("x");
    let rows = [
        ("/dev/ptmx".to_owned(), "it is not inside"),
        ("/dev/zero".to_owned(), "it is not inside"),
        (
            outside.path().join("ca.pem").display().to_string(),
            "it is not inside",
        ),
        ("../ca.pem".to_owned(), "it is not inside"),
        ("out".to_owned(), "it is not inside"),
        ("device".to_owned(), "it is not inside"),
        ("fifo".to_owned(), "it is no regular file"),
        (path("fifo"), "it is no regular file"),
        ("directory".to_owned(), "it is no regular file"),
        (".".to_owned(), "it is no regular file"),
        ("huge".to_owned(), "it is larger than 16MiB"),
        ("empty".to_owned(), "it holds no certificate"),
        ("missing".to_owned(), "no such file"),
    ];
    let mut sites = Vec::new();
    for (number, (file, _)) in rows.iter().enumerate() {
        let ca = json!({"tls_ca_file": file});
        sites.push(site(&format!("ca-{number}"), &website.url(), &ca));
        let key = json!({"tls_cert_file": file, "tls_key_file": file});
        sites.push(site(&format!("cert-{number}"), &website.url(), &key));
    }
    for name in ["fifo", "device", "directory", "huge"] {
        let secret = json!({"bearer_token": {"file": name}});
        sites.push(site(&format!("secret-{name}"), &website.url(), &secret));
    }
    let finished = probe(&sites)
        .var("SITES_TLS_DIR", &inside)
        .var("SITES_SECRETS_DIR", &inside)
        .run()
        .exits(78);
    assert!(finished.elapsed < MAX_ELAPSED, "{finished}");
    for (number, (file, why)) in rows.iter().enumerate() {
        for (kind, field) in [("ca", "tls_ca_file"), ("cert", "tls_cert_file")] {
            let told = format!("site {kind}-{number}: {field} {file} cannot be used: {why}");
            assert!(finished.stderr.contains(&told), "{told} in {finished}");
        }
    }
    for (name, why) in [
        ("fifo", "it is no regular file"),
        ("device", "it is not inside"),
        ("directory", "it is no regular file"),
        ("huge", "it is larger than 16MiB"),
    ] {
        let told = format!(
            "site secret-{name}: bearer_token names the file {name}, which cannot be read: {why}"
        );
        assert!(finished.stderr.contains(&told), "{told} in {finished}");
    }
    probe(&sites[..1])
        .run()
        .exits(78)
        .logs("ERROR probe: site ca-0: tls_ca_file /dev/ptmx cannot be used: SITES_TLS_DIR is not set (exit code 78)\n");
    assert_eq!(website.connections(), 0);
}

#[test]
fn a_file_inside_is_named_by_its_name_its_path_or_a_link_that_stays() {
    let directory = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::new("files");
    // As Kubernetes mounts a secret.
    fs::create_dir(directory.path().join("..2026_11_25")).unwrap();
    fs::write(
        directory.path().join("..2026_11_25/ca.pem"),
        authority.pem(),
    )
    .unwrap();
    symlink("..2026_11_25", directory.path().join("..data")).unwrap();
    symlink("..data/ca.pem", directory.path().join("ca.pem")).unwrap();
    let website = Website::start_tls(
        Behaviour::Page(Page::ok("x")),
        &Tls::new(&authority, Kind::Good),
    );
    let whole = directory.path().join("ca.pem").display().to_string();
    let sites = [
        ("name", "ca.pem"),
        ("path", &whole),
        ("below", "..data/ca.pem"),
    ]
    .map(|(name, file)| site(name, &website.url(), &json!({"tls_ca_file": file})));
    let finished = probe(&sites)
        .var("SITES_TLS_DIR", directory.path())
        .run()
        .exits(0);
    let events = events(&finished);
    assert_eq!(events.len(), sites.len());
    for event in events.values() {
        assert_is(event, Outcome::Up, "");
    }
}
