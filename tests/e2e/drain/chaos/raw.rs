//! A producer written by hand: it sends what no client library lets one send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};

use sitewatch_tests::{kafka::Kafka, wait};

/// A message without a key.
pub(crate) struct Record<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

const PRODUCE: i16 = 0;
/// Spoken by every Kafka from 0.11 to 4.
const PRODUCE_VERSION: i16 = 3;

const UNKNOWN_TOPIC: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const NOT_LEADER: i16 = 6;

/// Writes a batch to partition 0 and checks that the broker took it.
#[track_caller]
pub(crate) fn produce(kafka: &Kafka, topic: &str, records: &[Record<'_>]) {
    send(kafka, topic, batch(records, false));
}

/// The same in one batch, whatever their number, packed with gzip.
#[track_caller]
pub(crate) fn produce_packed(kafka: &Kafka, topic: &str, records: &[Record<'_>]) {
    send(kafka, topic, batch(records, true));
}

#[track_caller]
fn send(kafka: &Kafka, topic: &str, batch: Vec<u8>) {
    let mut body = Vec::new();
    body.extend(PRODUCE.to_be_bytes());
    body.extend(PRODUCE_VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend((-1_i16).to_be_bytes()); // no client id
    body.extend((-1_i16).to_be_bytes()); // no transaction
    body.extend((-1_i16).to_be_bytes()); // acknowledged by all
    body.extend(10_000_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend((topic.len() as i16).to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend((batch.len() as i32).to_be_bytes());
    body.extend(batch);

    // A topic just made has no leader yet.
    wait::until(
        "the broker leads the topic",
        Duration::from_secs(60),
        || match ask(kafka, &body, topic) {
            0 => true,
            UNKNOWN_TOPIC | LEADER_NOT_AVAILABLE | NOT_LEADER => false,
            error => panic!("the broker's error code is {error}"),
        },
    );
}

/// The error code of the answer for the one partition that was asked for.
#[track_caller]
fn ask(kafka: &Kafka, body: &[u8], topic: &str) -> i16 {
    let mut stream = TcpStream::connect(kafka.bootstrap()).unwrap();
    stream
        .write_all(&(body.len() as i32).to_be_bytes())
        .unwrap();
    stream.write_all(body).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, one topic, its name, one partition, its number; then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

/// A record batch of version 2.
pub(crate) fn batch(records: &[Record<'_>], packed: bool) -> Vec<u8> {
    let mut counted = Vec::new();
    counted.extend(i16::from(packed).to_be_bytes()); // attributes: gzip is 1
    counted.extend((records.len() as i32 - 1).to_be_bytes()); // last offset
    let now = jiff::Timestamp::now().as_millisecond();
    counted.extend(now.to_be_bytes());
    counted.extend(now.to_be_bytes());
    counted.extend((-1_i64).to_be_bytes()); // no producer id,
    counted.extend((-1_i16).to_be_bytes()); // epoch
    counted.extend((-1_i32).to_be_bytes()); // or sequence
    counted.extend((records.len() as i32).to_be_bytes());
    let mut all = Vec::new();
    for (number, record) in (0..).zip(records) {
        let mut body = vec![0]; // attributes
        varint(&mut body, 0); // time
        varint(&mut body, number);
        varint(&mut body, -1); // no key
        bytes(&mut body, record.value);
        varint(&mut body, record.headers.len() as i64);
        for (name, value) in record.headers {
            bytes(&mut body, name);
            match value {
                Some(value) => bytes(&mut body, value),
                None => varint(&mut body, -1),
            }
        }
        varint(&mut all, body.len() as i64);
        all.extend(body);
    }
    if packed {
        let mut gzip = GzEncoder::new(counted, Compression::best());
        gzip.write_all(&all).unwrap();
        counted = gzip.finish().unwrap();
    } else {
        counted.extend(all);
    }
    sealed(0, &counted) // the first offset is the broker's to say
}

/// What the checksum counts of a batch is behind so many bytes, and its records behind so many.
const COUNTED: usize = 21;
const RECORDS: usize = 61;

/// The batch with other records, as a broker that begins it at this offset has it on its disk.
pub(crate) fn with_records(batch: &[u8], offset: i64, records: &[u8]) -> Vec<u8> {
    sealed(offset, &[&batch[COUNTED..RECORDS], records].concat())
}

/// The records of a batch, as they are packed.
pub(crate) fn records(batch: &[u8]) -> &[u8] {
    batch.get(RECORDS..).unwrap_or_default()
}

fn sealed(offset: i64, counted: &[u8]) -> Vec<u8> {
    let mut batch = Vec::new();
    batch.extend(offset.to_be_bytes());
    batch.extend((counted.len() as i32 + 9).to_be_bytes());
    batch.extend(0_i32.to_be_bytes()); // the first leader's
    batch.push(2);
    batch.extend(crc32c(counted).to_be_bytes());
    batch.extend(counted);
    batch
}

fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    varint(to, bytes.len() as i64);
    to.extend(bytes);
}

fn varint(to: &mut Vec<u8>, number: i64) {
    let mut zigzag = ((number << 1) ^ (number >> 63)) as u64;
    while zigzag >= 0x80 {
        to.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    to.push(zigzag as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}
