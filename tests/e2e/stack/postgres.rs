//! PostgreSQL starts, checks passwords and certificates, keeps its data, and leaves nothing behind.

use std::{panic, path::PathBuf};

use native_tls::{Certificate, Identity, TlsConnector};
use postgres::{Client, Config, NoTls};
use postgres_native_tls::MakeTlsConnector;
use sitewatch_tests::{
    certificates::{CertificateAuthority, Issued, Validity},
    port,
    postgres::{PASSWORD, Postgres, Tls, USER},
    shared,
};

#[test]
fn each_test_has_a_database_of_its_own() {
    let first = shared::postgres().create_database("stack");
    let second = shared::postgres().create_database("stack");
    assert_ne!(first.url(), second.url());

    first
        .client()
        .batch_execute("create table t (n int)")
        .unwrap();
    second
        .client()
        .batch_execute("create table t (n int)")
        .unwrap();

    let (name, url) = (first.name().to_owned(), first.url().to_owned());
    let still_connected = first.client();
    drop(first);
    let error = Client::connect(&url, NoTls).err().expect("it is gone");
    let expected = format!("database \"{name}\" does not exist");
    assert_eq!(error.as_db_error().unwrap().message(), expected);
    drop(still_connected);
}

#[test]
fn a_wrong_password_is_refused_over_tcp_and_on_the_socket() {
    let server = shared::postgres();
    let mut config = Config::new();
    config
        .user(USER)
        .password("wrong")
        .dbname("sitewatch")
        .port(server.port());

    for config in [
        config.clone().host("127.0.0.1"),
        config.clone().host_path(server.socket_dir()),
    ] {
        let error = config.connect(NoTls).err().expect("refused");
        assert_eq!(
            error.as_db_error().unwrap().message(),
            "password authentication failed for user \"sitewatch\""
        );
        config.password(PASSWORD).connect(NoTls).unwrap();
    }
}

#[test]
fn durability_is_the_default() {
    let mut client = shared::postgres().client();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = client
            .query_one(&format!("show {setting}"), &[])
            .unwrap()
            .get(0);
        assert_eq!(value, "on", "{setting}");
    }
}

#[test]
fn a_restart_keeps_the_data_and_a_stop_closes_the_port() {
    let server = Postgres::options().set("work_mem", "5MB").start();
    let url = server.url();
    server
        .client()
        .batch_execute("create table t as select 7 as n")
        .unwrap();

    server.stop();
    assert!(!port::is_open(server.port()));
    assert_eq!(server.pid(), None);
    server.start_again();
    server.restart();
    server.kill();
    server.start_again();

    assert_eq!(server.url(), url);
    let mut client = server.client();
    let n: i32 = client.query_one("select n from t", &[]).unwrap().get(0);
    assert_eq!(n, 7);
    let set: String = client.query_one("show work_mem", &[]).unwrap().get(0);
    assert_eq!(set, "5MB");
}

#[test]
fn it_is_gone_after_a_test_that_panics() {
    let seen = panic::catch_unwind(|| {
        let server = Postgres::start(None);
        let here = (
            server.pid().unwrap(),
            server.port(),
            server.socket_dir().to_owned(),
        );
        panic::panic_any(here);
    });
    let (pid, port, directory) = *seen.unwrap_err().downcast::<(u32, u16, PathBuf)>().unwrap();
    assert!(!super::cleanup::is_alive(pid));
    assert!(!port::is_open(port));
    assert!(!directory.exists());
}

#[test]
fn a_failed_start_tells_what_the_server_said() {
    let failure = Postgres::options()
        .set("shared_buffers", "much")
        .try_start()
        .err()
        .expect("no such amount of memory");
    let text = failure.to_string();
    assert!(
        text.contains("invalid value for parameter \"shared_buffers\": \"much\""),
        "{text}"
    );
}

#[test]
fn tls_is_offered_required_or_mutual() {
    let authority = CertificateAuthority::new("stack");
    let connector = |identity: Option<Identity>| {
        let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let mut builder = TlsConnector::builder();
        builder.add_root_certificate(root);
        if let Some(identity) = identity {
            builder.identity(identity);
        }
        MakeTlsConnector::new(builder.build().unwrap())
    };
    let encrypted = |server: &Postgres| {
        Client::connect(
            &format!("{}?sslmode=require", server.url()),
            connector(None),
        )
    };

    let offered = Postgres::start(Some(&authority));
    offered.client();
    let mut client = encrypted(&offered).unwrap();
    let used: bool = client
        .query_one(
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
            &[],
        )
        .unwrap()
        .get(0);
    assert!(used);

    let required = Postgres::options().tls(&authority, Tls::Required).start();
    assert!(Client::connect(&required.url(), NoTls).is_err());
    encrypted(&required).unwrap();

    let mutual = Postgres::options()
        .tls(&authority, Tls::ClientCertificates)
        .start();
    assert!(encrypted(&mutual).is_err());
    let Issued { chain, key } = authority.client("sitewatch", Validity::days(1));
    let identity = Identity::from_pkcs8(chain.as_bytes(), key.as_bytes()).unwrap();
    Client::connect(&mutual.url(), connector(Some(identity))).unwrap();
    mutual.superuser();
}
