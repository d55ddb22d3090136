//! What strangers write, bent: the seeds in `tests/fuzz/corpus`, mutated by a generator of fixed
//! seed, so that each run tries the same and a failure can be had again. libFuzzer goes on from the
//! same seeds where somebody lets it (`tests/fuzz/Cargo.toml`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;
use sitewatch::event::CheckEvent;
use sitewatch::site::{SiteDefaults, fields_of_row, parse_list, parse_objects, rows_of_list};
use sitewatch_tests::websites::{Behaviour, Website};

use crate::documents::root;
use crate::probe::{events, probe, site};

/// A generator of Marsaglia's (xorshift64): small, and the same everywhere.
struct Random(u64);

impl Random {
    const SEED: u64 = 0x5173_7761_7463_6821;

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// The seeds of a target, by name.
pub(crate) fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let directory = root().join("tests/fuzz/corpus").join(target);
    let seeds: BTreeMap<String, Vec<u8>> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .filter(|(name, _)| name.starts_with("seed-"))
        .collect();
    assert!(seeds.len() > 1, "{target} has no seeds");
    seeds
}

/// Between one and four changes: a bit, a byte, a piece left out, repeated or put elsewhere, a piece
/// of another seed, a number or a sign that breaks parsers.
fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const AWKWARD: [&[u8]; 12] = [
        b"\0",
        b"\r\n",
        b"\n",
        b"\"",
        b"{",
        b"[",
        b"-1",
        b"18446744073709551616",
        b"1e999",
        b"\xff\xfe",
        b"ffffffffffffffff",
        b"\\ud800",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
            2 if at < end => drop(bytes.drain(at..end)),
            3 if at < end => {
                let piece = bytes[at..end].repeat(1 + random.below(300));
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            5 if !other.is_empty() => {
                let from = random.below(other.len());
                let to = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let awkward = AWKWARD[random.below(AWKWARD.len())];
                bytes.splice(at..at, awkward.iter().copied());
            }
        }
    }
    bytes
}

/// So many mutations of the seeds, each of them given to `each`.
pub(crate) fn mutations(target: &str, count: usize) -> Vec<Vec<u8>> {
    let seeds: Vec<Vec<u8>> = corpus(target).into_values().collect();
    let mut random = Random(Random::SEED);
    (0..count)
        .map(|number| {
            let other = random.below(seeds.len());
            mutate(&seeds[number % seeds.len()], &seeds[other], &mut random)
        })
        .collect()
}

fn each(target: &str, count: usize, check: impl Fn(&[u8])) {
    for (number, input) in mutations(target, count).iter().enumerate() {
        let fine = catch_unwind(AssertUnwindSafe(|| check(input))).is_ok();
        let text = String::from_utf8_lossy(input);
        assert!(
            fine,
            "mutation {number} of {target} (seed {:#x}): {text:?}",
            Random::SEED
        );
    }
}

#[test]
fn an_event_is_read_as_it_is_written_or_refused() {
    let mut read = 0;
    for seed in corpus("event").values() {
        read += usize::from(CheckEvent::decode(seed).is_ok());
    }
    assert!(read > 0, "no seed is an event");
    each("event", 20_000, |bytes| {
        if let Ok(event) = CheckEvent::decode(bytes) {
            assert_eq!(CheckEvent::decode(&event.to_json()).unwrap(), event);
        }
    });
}

#[test]
fn a_list_of_sites_is_stored_as_it_is_read_or_refused() {
    let defaults = SiteDefaults::default();
    for (name, seed) in corpus("site_list") {
        let read = parse_list(std::str::from_utf8(&seed).unwrap(), &defaults);
        assert!(read.is_ok(), "{name}: {read:?}");
    }
    each("site_list", 3_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(sites) = parse_list(&text, &defaults) else {
            return;
        };
        let Ok(rows) = rows_of_list(&text, &defaults) else {
            return;
        };
        let (again, problems) = parse_objects(rows.into_iter().map(fields_of_row), &defaults);
        assert!(problems.list().is_empty(), "{problems:?}");
        assert_eq!(sites, again);
    });
}

/// By the executable: whatever a server answers, each check ends in a result, and none is an
/// internal error.
#[test]
fn any_answer_of_a_server_makes_a_result() {
    const ANSWERS: usize = 400;
    let answers = mutations("http", ANSWERS);
    let website = Website::start(Behaviour::custom(move |request, to| {
        let number = request.target.trim_start_matches('/').parse();
        // A redirect that was followed leads elsewhere, where the answer is always the first.
        to.write_all(&answers[number.unwrap_or(0) % ANSWERS])
    }));
    let sites: Vec<_> = (0..ANSWERS)
        .map(|number| {
            let url = format!("{}{number}", website.url());
            let more = json!({"timeout": "5s", "max_redirects": 3, "regex": "hello, wor.d"});
            site(&format!("site-{number}"), &url, &more)
        })
        .collect();
    let finished = probe(&sites).run().exits(0);
    let told = finished.stderr.to_lowercase();
    assert!(!told.contains("internal error"), "{finished}");
    assert_eq!(events(&finished).len(), ANSWERS, "{}", finished.stderr);
}
