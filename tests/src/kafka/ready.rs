//! Whether a broker does its work, asked in its own protocol.
//!
//! An open port says little: a broker accepts connections before it has registered with its
//! controller. These few bytes are written by hand because a client library would retry, wait and
//! report its own troubles instead.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// A busy broker answers late; a dead one has closed the connection.
const ANSWER: Duration = Duration::from_secs(2);

/// The versions below are spoken by every Kafka from 0.10 to 4.
const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 1;
const API_VERSIONS: i16 = 18;
const API_VERSIONS_VERSION: i16 = 0;

/// Whether the broker on `port` answers, and counts itself among the brokers that take work.
pub(super) fn is_ready(port: u16) -> bool {
    exchange(port).unwrap_or(false)
}

fn exchange(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER))?;

    let answer = ask(&mut stream, API_VERSIONS, API_VERSIONS_VERSION, &[])?;
    let accepted = answer.get(..2) == Some(&0i16.to_be_bytes());

    // An empty list of topics asks for the brokers only.
    let no_topics = 0i32.to_be_bytes();
    let answer = ask(&mut stream, METADATA, METADATA_VERSION, &no_topics)?;
    let no_brokers = 0i32.to_be_bytes();
    Ok(accepted && answer.get(..4).is_some_and(|count| count != no_brokers))
}

/// Sends one request and returns the answer behind its correlation number.
fn ask(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    const CORRELATION: i32 = 1;
    const CLIENT: &[u8] = b"sitewatch-tests";
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    request.extend((CLIENT.len() as i16).to_be_bytes());
    request.extend(CLIENT);
    request.extend(body);
    stream.write_all(&(request.len() as i32).to_be_bytes())?;
    stream.write_all(&request)?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length))
        .ok()
        // Both answers are a few hundred bytes; anything else is not Kafka.
        .filter(|length| (4..1 << 20).contains(length))
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer.split_off(4))
}
