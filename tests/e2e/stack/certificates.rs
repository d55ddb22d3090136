//! Certificates are good or bad in the way they say, judged by OpenSSL.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use openssl::{
    pkey::PKey,
    ssl::{HandshakeError, SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslStream},
    x509::X509,
};
use sitewatch_tests::{
    certificates::{CertificateAuthority, Kind},
    websites::{Behaviour, Page, SslVersion, Tls, Website},
};

/// A client that trusts `authority` and nobody else.
fn client(authority: &CertificateAuthority) -> SslConnectorBuilder {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    let root = X509::from_pem(authority.pem().as_bytes()).unwrap();
    let mut store = openssl::x509::store::X509StoreBuilder::new().unwrap();
    store.add_cert(root).unwrap();
    builder.set_cert_store(store.build());
    builder
}

fn handshake(
    site: &Website,
    client: SslConnectorBuilder,
) -> Result<SslStream<TcpStream>, HandshakeError<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    client.build().connect("localhost", stream)
}

fn page(stream: &mut SslStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn site(tls: &Tls) -> Website {
    Website::start_tls(Behaviour::Page(Page::ok("secret")), tls)
}

#[test]
fn each_kind_is_judged_as_it_should_be() {
    let authority = CertificateAuthority::new("Sitewatch tests");
    for (kind, judgement) in [
        (Kind::Good, "ok"),
        (Kind::EndsInDays(3), "ok"),
        (Kind::WithIntermediate, "ok"),
        (Kind::Expired, "certificate has expired"),
        (Kind::NotYetValid, "certificate is not yet valid"),
        (Kind::WrongHost, "hostname mismatch"),
        (Kind::UnknownCa, "unable to get local issuer certificate"),
        (
            Kind::MissingIntermediate,
            "unable to get local issuer certificate",
        ),
        (Kind::SelfSigned, "self-signed certificate"),
        (Kind::WeakKey, "EE certificate key too weak"),
    ] {
        let site = site(&Tls::new(&authority, kind));
        let mut client = client(&authority);
        client.set_security_level(2); // As distributions do.
        match handshake(&site, client) {
            Ok(mut stream) => {
                assert_eq!(judgement, "ok", "{kind:?}");
                assert!(page(&mut stream).unwrap().ends_with("secret"));
            }
            Err(HandshakeError::Failure(stream)) => {
                assert_eq!(
                    stream.ssl().verify_result().error_string(),
                    judgement,
                    "{kind:?}"
                );
            }
            Err(error) => panic!("{kind:?}: {error}"),
        }
    }
}

#[test]
fn a_client_certificate_is_demanded_and_checked() {
    let authority = CertificateAuthority::new("Sitewatch tests");
    let tls = Tls::new(&authority, Kind::Good).client_certificate(&authority);
    let site = site(&tls);
    let directory = tempfile::tempdir().unwrap();
    authority.write_client_dir(directory.path()).unwrap();

    let mut known = client(&authority);
    known
        .set_certificate_chain_file(directory.path().join("service.cert"))
        .unwrap();
    known
        .set_private_key_file(directory.path().join("service.key"), SslFiletype::PEM)
        .unwrap();
    assert!(
        page(&mut handshake(&site, known).unwrap())
            .unwrap()
            .ends_with("secret")
    );

    // With TLS 1.3 the refusal comes after the client's side of the handshake.
    let stranger = CertificateAuthority::new("Sitewatch tests")
        .client("stranger", sitewatch_tests::certificates::Validity::days(1));
    let mut unknown = client(&authority);
    unknown
        .set_certificate(&X509::from_pem(stranger.chain.as_bytes()).unwrap())
        .unwrap();
    unknown
        .set_private_key(&PKey::private_key_from_pem(stranger.key.as_bytes()).unwrap())
        .unwrap();
    for refused in [unknown, client(&authority)] {
        let answer = handshake(&site, refused).map(|mut stream| page(&mut stream));
        assert!(!matches!(answer, Ok(Ok(_))), "refused");
    }

    for (name, begins) in [
        ("ca.pem", "-----BEGIN CERTIFICATE-----"),
        ("service.cert", "-----BEGIN CERTIFICATE-----"),
        ("service.key", "-----BEGIN PRIVATE KEY-----"),
    ] {
        let text = fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(text.starts_with(begins), "{name}");
    }
}

#[test]
fn only_the_versions_named_are_spoken() {
    let authority = CertificateAuthority::new("Sitewatch tests");
    for version in [
        SslVersion::TLS1,
        SslVersion::TLS1_1,
        SslVersion::TLS1_2,
        SslVersion::TLS1_3,
    ] {
        let site = site(&Tls::new(&authority, Kind::Good).versions(version, version));
        let today = handshake(&site, client(&authority));
        let modern = version == SslVersion::TLS1_2 || version == SslVersion::TLS1_3;
        assert_eq!(today.is_ok(), modern, "{version:?}");

        let mut lenient = client(&authority);
        lenient.set_security_level(0);
        lenient.set_min_proto_version(Some(version)).unwrap();
        let mut stream = handshake(&site, lenient).unwrap();
        assert_eq!(stream.ssl().version2(), Some(version));
        assert!(page(&mut stream).unwrap().ends_with("secret"));
    }
}
