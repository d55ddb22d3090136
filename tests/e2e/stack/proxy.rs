//! The proxy carries everything, until it is told not to.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use postgres::{Client, NoTls};
use rdkafka::consumer::{BaseConsumer, Consumer};
use sitewatch_tests::{
    kafka::Version,
    postgres::{DATABASE, PASSWORD, USER},
    proxy::{Direction, Proxy},
    shared, wait,
};

/// A server that sends back what it gets.
fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream).ok());
        }
    });
    Proxy::to(address)
}

fn connect(proxy: &Proxy) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(proxy.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

fn say(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn bytes_and_ends_are_carried_both_ways() {
    let proxy = echo();
    let mut stream = connect(&proxy).unwrap();
    assert_eq!(say(&mut stream, "hello").unwrap(), "hello");
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an orderly end");
    assert_eq!(proxy.bytes(Direction::ToServer), 5);
    assert_eq!(proxy.bytes(Direction::ToClient), 5);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_cut_resets_open_connections_only() {
    let proxy = echo();
    let mut stream = connect(&proxy).unwrap();
    say(&mut stream, "hello").unwrap();
    proxy.cut();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(
        say(&mut connect(&proxy).unwrap(), "again").unwrap(),
        "again"
    );
}

#[test]
fn a_cut_after_so_many_bytes_lets_exactly_those_through() {
    let proxy = echo();
    proxy.cut_after(3, Direction::ToClient);
    let mut stream = connect(&proxy).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer[..3]).unwrap();
    assert_eq!(&answer[..3], b"hel");
    let error = stream.read(&mut answer).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(
        say(&mut connect(&proxy).unwrap(), "hello").unwrap(),
        "hello"
    );
}

#[test]
fn a_stall_holds_everything_until_it_ends() {
    let proxy = echo();
    let mut open = connect(&proxy).unwrap();
    say(&mut open, "before").unwrap();
    proxy.stall();
    let mut new = connect(&proxy).unwrap();
    for stream in [&mut open, &mut new] {
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let error = say(stream, "during").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
    }
    proxy.resume();
    for stream in [&mut open, &mut new] {
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"during");
    }
}

#[test]
fn refusing_spares_what_is_open() {
    let proxy = echo();
    let mut open = connect(&proxy).unwrap();
    say(&mut open, "before").unwrap();
    proxy.refuse();
    let error = connect(&proxy).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(say(&mut open, "during").unwrap(), "during");
    proxy.resume();
    assert_eq!(
        say(&mut connect(&proxy).unwrap(), "after").unwrap(),
        "after"
    );
}

#[test]
fn a_server_that_is_away_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap());
    drop(listener);
    let error = connect(&proxy)
        .and_then(|mut stream| stream.read(&mut [0]))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn postgresql_loses_its_connection_and_gets_a_new_one() {
    let proxy = Proxy::to(([127, 0, 0, 1], shared::postgres().port()));
    let url = format!(
        "postgres://{USER}:{PASSWORD}@{}/{DATABASE}",
        proxy.address()
    );
    let mut client = Client::connect(&url, NoTls).unwrap();
    client.query_one("select 1", &[]).unwrap();
    proxy.cut();
    client.query_one("select 1", &[]).unwrap_err();
    let mut client = Client::connect(&url, NoTls).unwrap();
    client.query_one("select 1", &[]).unwrap();
}

#[test]
fn every_connection_to_a_proxied_kafka_goes_through_the_proxy() {
    let kafka = shared::proxied_kafka(Version::V4_1);
    kafka.create_topic("proxied", 1);
    let consumer: BaseConsumer = kafka
        .client()
        .set("bootstrap.servers", kafka.proxied_bootstrap())
        .create()
        .unwrap();
    let brokers = || {
        let metadata = consumer
            .fetch_metadata(Some("proxied"), Duration::from_secs(1))
            .ok()?;
        Some(
            metadata
                .brokers()
                .iter()
                .map(|broker| broker.port())
                .collect::<Vec<_>>(),
        )
    };
    let proxy = kafka.proxy();
    assert_eq!(brokers(), Some(vec![i32::from(proxy.port())]));

    proxy.refuse();
    proxy.cut();
    assert_eq!(brokers(), None);
    proxy.resume();
    wait::until("Kafka to be reached again", Duration::from_secs(60), || {
        brokers().is_some()
    });
}
