//! Events of every shape, whole and mutilated: decoding never breaks, gives back what was encoded,
//! and accepts nothing that PostgreSQL then refuses.
//!
//! `tests/fuzz` has the first two of these for a fuzzer that is guided by coverage.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sitewatch::event::{
    CheckEvent, MAX_ERROR, MAX_LABEL, MAX_LABELS, MAX_LOCATION, MAX_NAME, MAX_URL, Outcome, VERSION,
};

use sitewatch::words::is_blank;

use super::Dice;
use crate::support::Prepared;

/// Lines that go all the way to PostgreSQL.
const LINES: usize = 4_000;

/// Further ones that are only decoded.
const MORE: usize = 10_000;

/// What is put into messages: pieces of JSON, and what has broken parsers and databases before.
const PIECES: [&str; 30] = [
    "\0",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\u{feff}",
    "\u{202e}",
    "\u{fffd}",
    "\x7f",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "null",
    "true",
    "1e999",
    "-1",
    "-0",
    "0.5",
    "4294967296",
    "18446744073709551616",
    "\"v\":2",
    "\"v\":1,",
    "9999-12-30T22:00:00Z",
    "-009999-01-01T00:00:00Z",
    "23:59:60",
    "+24:00",
];

const VALUES: [&str; 24] = [
    "null",
    "true",
    "\"\"",
    "\" \"",
    "0",
    "-1",
    "1.5",
    "1e3",
    "32767",
    "32768",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "[]",
    "{}",
    "{\"\":\"\"}",
    "\"::1\"",
    "\"fe80::1%eth0\"",
    "\"\\u0000\"",
    "\"9999-12-30T22:00:00.999999999Z\"",
    "\"0001-01-01T00:00:00Z\"",
];

fn text(dice: &mut Dice, most: usize) -> String {
    const ALPHABET: [&str; 16] = [
        "a",
        "Z",
        "9",
        " ",
        "\"",
        "\\",
        "/",
        "'",
        ";",
        "é",
        "ß",
        "漢",
        "\u{1f980}",
        "\u{301}",
        "%",
        "\u{80}",
    ];
    // Mostly short; one in ten as long as can be.
    let length = if dice.one_in(10) {
        most
    } else {
        dice.between(1, 20).min(most as u64) as usize
    };
    (0..length).map(|_| *dice.choose(&ALPHABET)).collect()
}

/// Something of a name is to be seen.
fn name(dice: &mut Dice, most: usize) -> String {
    loop {
        let name = text(dice, most);
        if !is_blank(&name) {
            return name;
        }
    }
}

fn maybe<T>(dice: &mut Dice, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    (!dice.one_in(3)).then(|| value(dice))
}

fn micros(dice: &mut Dice) -> u32 {
    let most = *dice.choose(&[1, 1_000, 1_000_000, i32::MAX as u64]);
    dice.between(0, most + 1) as u32
}

/// An event as a probe could have made it.
fn event(dice: &mut Dice) -> CheckEvent<'static> {
    let outcome = *dice.choose(&Outcome::ALL);
    let site = name(dice, MAX_NAME);
    // By bytes, and the others by characters.
    let url: String = text(dice, MAX_URL / 4);
    let seconds = dice.between(0, 100_000) as i64;
    // Few, because the number of a location has two bytes.
    let longest = if dice.one_in(20) { MAX_LOCATION } else { 1 };
    let location = name(dice, longest);
    CheckEvent {
        v: VERSION,
        id: uuid::Uuid::now_v7(),
        site: site.into(),
        url: url.into(),
        location: location.into(),
        checked_at: Timestamp::now().round(jiff::Unit::Second).unwrap()
            - SignedDuration::from_secs(seconds)
            + SignedDuration::from_micros(dice.between(0, 1_000_000) as i64),
        scheduled_at: maybe(dice, |dice| {
            Timestamp::now().round(jiff::Unit::Millisecond).unwrap()
                - SignedDuration::from_millis(dice.between(0, 10_000_000) as i64)
        }),
        interval_ms: maybe(dice, |dice| dice.between(0, i32::MAX as u64) as u32),
        up: outcome.verdict().as_up(),
        outcome,
        error: match outcome {
            Outcome::Up => None,
            _ => maybe(dice, |dice| text(dice, MAX_ERROR).into()),
        },
        status: maybe(dice, |dice| dice.between(100, 1_000) as u16),
        remote_addr: maybe(dice, |dice| match dice.one_in(2) {
            true => std::net::Ipv4Addr::from(dice.number() as u32).into(),
            false => std::net::Ipv6Addr::from(u128::from(dice.number()) << 37).into(),
        }),
        http_version: maybe(dice, |dice| text(dice, 10).into()),
        dns_us: maybe(dice, micros),
        connect_us: maybe(dice, micros),
        tls_us: maybe(dice, micros),
        first_byte_us: maybe(dice, micros),
        body_us: maybe(dice, micros),
        total_us: micros(dice),
        local_wait_us: maybe(dice, micros),
        clock: None,
        body_bytes: maybe(dice, |dice| micros(dice).into()),
        body_match: maybe(dice, |dice| dice.one_in(2)),
        certificate_not_after: maybe(dice, |dice| {
            Timestamp::from_second(dice.between(0, 250_000_000_000) as i64).unwrap()
        }),
        certificate_issuer: maybe(dice, |dice| text(dice, MAX_ERROR).into()),
        certificate_error: maybe(dice, |dice| text(dice, MAX_ERROR).into()),
        chain_not_after: None,
        chain_subject: maybe(dice, |dice| text(dice, 20).into()),
        chain_host: maybe(dice, |dice| text(dice, 20).into()),
        tls_version: maybe(dice, |dice| text(dice, 20).into()),
        redirects: dice.between(0, i16::MAX as u64 + 1) as u16,
        final_url: maybe(dice, |dice| text(dice, MAX_URL / 4).into()),
        attempts: dice.between(0, i16::MAX as u64 + 1) as u16,
        first_error: maybe(dice, |dice| text(dice, MAX_ERROR).into()),
        evidence: maybe(dice, |dice| text(dice, 500).into()),
        maintenance: dice.one_in(2),
        labels: {
            let labels = if dice.one_in(20) { MAX_LABELS } else { 2 };
            (0..labels)
                .map(|_| {
                    let name = text(dice, MAX_LABEL);
                    (name.into(), text(dice, MAX_LABEL).into())
                })
                .collect::<BTreeMap<_, _>>()
        },
    }
}

/// What becomes of a message on its way through somebody else's program.
fn mutilate(dice: &mut Dice, message: &mut Vec<u8>) {
    if dice.one_in(2) {
        // A field gets another value.
        let mut fields: serde_json::Map<String, serde_json::Value> =
            match serde_json::from_slice(message) {
                Ok(fields) => fields,
                Err(_) => return,
            };
        let names: Vec<String> = fields.keys().cloned().collect();
        let name = dice.choose(&names).clone();
        if dice.one_in(8) {
            fields.remove(&name);
        } else {
            let value = match dice.one_in(4) {
                true => text(dice, MAX_URL + 1).into(),
                false => {
                    serde_json::from_str::<serde_json::Value>(dice.choose::<&str>(&VALUES)).unwrap()
                }
            };
            fields.insert(name, value);
        }
        *message = serde_json::to_vec(&fields).unwrap();
        return;
    }
    for _ in 0..dice.between(1, 4) {
        let at = dice.between(0, message.len() as u64 + 1) as usize;
        match dice.between(0, 4) {
            0 => message.truncate(at),
            1 => {
                let piece = dice.choose(&PIECES).as_bytes();
                message.splice(at..at, piece.iter().copied());
            }
            2 => {
                let to = (at + dice.between(0, 20) as usize).min(message.len());
                message.drain(at..to);
            }
            _ => {
                if let Some(byte) = message.get_mut(at) {
                    *byte = dice.number() as u8;
                }
            }
        }
    }
}

fn message(dice: &mut Dice) -> Vec<u8> {
    let event = event(dice);
    let mut message = event.to_json();
    assert_eq!(
        CheckEvent::decode(&message).as_ref(),
        Ok(&event),
        "decoding is not the inverse of encoding"
    );
    if !dice.one_in(3) {
        mutilate(dice, &mut message);
    }
    message
}

/// Decodes; what is accepted is the same after a second time around.
fn decode(message: &[u8]) -> Option<CheckEvent<'_>> {
    let event = CheckEvent::decode(message).ok()?;
    let again = event.to_json();
    assert_eq!(
        CheckEvent::decode(&again).as_ref(),
        Ok(&event),
        "{}",
        String::from_utf8_lossy(message)
    );
    Some(event)
}

#[test]
fn what_decoding_accepts_is_recorded_and_nothing_breaks_it() {
    let mut dice = Dice::new("decode");
    let prepared = Prepared::new("decode");
    let now = Timestamp::now();
    let mut input = Vec::new();
    let mut expected = BTreeSet::new();
    let (mut lines, mut accepted, mut doubtful) = (0, 0, 0);
    while lines < LINES {
        let mut message = message(&mut dice);
        // A line's end is no matter here, and an empty line is no message.
        for byte in &mut message {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        if message.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        lines += 1;
        if let Some(event) = decode(&message) {
            let age = now.duration_since(event.checked_at);
            if age > SignedDuration::from_mins(-4) && age < SignedDuration::from_hours(390 * 24) {
                accepted += 1;
                expected.insert((
                    event.site.to_string(),
                    event.checked_at.as_microsecond(),
                    event.location.to_string(),
                ));
            } else {
                doubtful += 1;
            }
        }
        input.extend(message);
        input.push(b'\n');
    }
    println!("{accepted} of {lines} lines accepted, {doubtful} from another age");
    let finished = prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .var("LOG_FORMAT", "json")
        .var("DRAIN_BATCH_SIZE", "500")
        // One message in twenty has a location of its own, which is as many as a run may bring.
        .var("DRAIN_MAX_NEW_LOCATIONS", "1000")
        .stdin(input)
        .run()
        .exits(0);
    let counter = |name| super::counter(&finished, name) as usize;
    assert_eq!(counter("recorded"), expected.len());
    assert_eq!(counter("recorded") + counter("repeated"), accepted);
    assert_eq!(counter("dead_letters"), lines - accepted);
    let refused: Vec<_> = prepared
        .reasons()
        .into_values()
        .filter(|reason| reason.starts_with("PostgreSQL"))
        .collect();
    assert_eq!(refused, Vec::<String>::new(), "accepted, and then refused");
    let stored: BTreeSet<(String, i64, String)> = prepared
        .client()
        .query(
            "select websites.name, (extract(epoch from checked_at) * 1000000)::int8, locations.name
             from checks
             join websites on websites.id = website_id
             join locations on locations.id = location_id",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(stored, expected);

    for _ in 0..MORE {
        decode(&message(&mut dice));
    }
}
