//! Reading a body: decompressed, decoded, searched while it arrives, and no further than needed.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use encoding_rs::{Decoder, Encoding, UTF_8};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use sitewatch::event::Outcome;
use sitewatch::site::Site;
use ureq_proto::http::HeaderMap;
use ureq_proto::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::evidence::Evidence;
use super::failure::Failure;
use super::json;
use super::observation::BodySeen;
use super::pattern::Patterns;
use super::search::Search;
use super::trace::Phase;

/// As much as is unpacked at once.
const PIECE: usize = 8 * 1024;
/// What a compressed body may be larger than the most that is read of it decompressed: what does
/// not compress grows by a thousandth.
const OVERHEAD: u64 = 64 * 1024;

/// A body that is being read, as far as the site's expectations need it.
pub(super) struct Reading<'a> {
    watch: Watch<'a>,
    unpacking: Unpacking,
    /// Bytes that may still come of a compressed body. Empty members and blocks make nothing of as
    /// much as there is: [`Watch`] would never see a byte of it.
    left: u64,
}

/// A body's encoding.
enum Unpacking {
    /// None.
    Plain,
    Gzip(Box<MultiGzDecoder<Arrived>>),
    Deflate(Box<ZlibDecoder<Arrived>>),
    /// One that was not asked for. The answer to HEAD, and one without content, name the encoding
    /// of what is not there: so it is no failure before the first byte.
    Unknown(String),
}

/// What has arrived of a body and is not unpacked.
#[derive(Default)]
struct Arrived {
    bytes: Vec<u8>,
    used: usize,
    is_all: bool,
}

impl Arrived {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }
}

impl BufRead for Arrived {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.bytes.get(self.used..) {
            Some(rest) if !rest.is_empty() => Ok(rest),
            _ if self.is_all => Ok(&[]),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for Arrived {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<'a> Reading<'a> {
    /// The body behind these headers.
    pub(super) fn new(site: &'a Site, patterns: &Patterns, headers: &HeaderMap) -> Self {
        let encoding = headers
            .get(CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        Self {
            watch: Watch::new(site, patterns, headers),
            left: site.body_limit.saturating_add(OVERHEAD),
            unpacking: match encoding.as_str() {
                "" | "identity" => Unpacking::Plain,
                "gzip" | "x-gzip" => {
                    Unpacking::Gzip(Box::new(MultiGzDecoder::new(Arrived::default())))
                }
                "deflate" => Unpacking::Deflate(Box::new(ZlibDecoder::new(Arrived::default()))),
                _ => Unpacking::Unknown(encoding),
            },
        }
    }

    /// Takes the next bytes; whether reading on would change nothing.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        if let Some(arrived) = self.unpacking.arrived() {
            arrived.add(bytes);
        }
        match &self.unpacking {
            Unpacking::Plain => {
                if !self.watch.knows_enough() {
                    self.watch.take(bytes);
                }
                Ok(self.watch.knows_enough())
            }
            Unpacking::Unknown(encoding) => Err(Failure::new(
                Outcome::Protocol,
                format!("the body is encoded as {encoding:?}, which was not asked for"),
            )),
            Unpacking::Gzip(_) | Unpacking::Deflate(_) => {
                let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
                    let why = "it is larger compressed than it may be decompressed";
                    return Err(undecodable(&why));
                };
                self.left = left;
                self.unpack()
            }
        }
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let Some(arrived) = self.unpacking.arrived() else {
            return Ok(());
        };
        arrived.is_all = true;
        if arrived.bytes.is_empty() {
            return Ok(());
        }
        self.unpack().map(drop)
    }

    /// What was seen of it, and its beginning where the site wants that to be kept.
    pub(super) fn finish(self) -> (BodySeen, Vec<u8>) {
        self.watch.finish()
    }

    fn unpack(&mut self) -> Result<bool, Failure> {
        let mut piece = vec![0; PIECE];
        loop {
            if self.watch.knows_enough() {
                return Ok(true);
            }
            let read = match &mut self.unpacking {
                Unpacking::Gzip(reader) => reader.read(&mut piece),
                Unpacking::Deflate(reader) => reader.read(&mut piece),
                Unpacking::Plain | Unpacking::Unknown(_) => return Ok(false),
            };
            match read {
                Ok(0) => return Ok(true),
                Ok(read) => self.watch.take(piece.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(failure(&error)),
            }
        }
    }
}

impl Unpacking {
    fn arrived(&mut self) -> Option<&mut Arrived> {
        match self {
            Self::Gzip(reader) => Some(reader.get_mut()),
            Self::Deflate(reader) => Some(reader.get_mut()),
            Self::Plain | Self::Unknown(_) => None,
        }
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => undecodable(error),
        _ => Failure::of_io(Phase::Body, "the server", error),
    }
}

fn undecodable(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Outcome::Protocol,
        format!("the body cannot be decompressed: {why}"),
    )
}

/// What the site wants to know of its body, and what is known of it so far.
struct Watch<'a> {
    site: &'a Site,
    seen: BodySeen,
    decoder: Option<Decoder>,
    regex: Option<Search>,
    regex_not: Vec<Search>,
    /// The body so far, when JSON is expected.
    json: Option<Vec<u8>>,
    /// The text so far, when a pattern needs all of it.
    text: Option<Vec<u8>>,
    /// The beginning of the body, as far as it is kept.
    beginning: Vec<u8>,
}

impl<'a> Watch<'a> {
    fn new(site: &'a Site, patterns: &Patterns, headers: &HeaderMap) -> Self {
        let expect = &site.expect;
        let searches = expect.regex.is_some() || !expect.regex_not.is_empty();
        let search = |pattern: &Arc<_>| Search::new(patterns.get(pattern));
        let regex = expect.regex.as_ref().map(search);
        let regex_not: Vec<_> = expect.regex_not.iter().map(search).collect();
        let mut all = regex.iter().chain(&regex_not);
        let text = all.any(Search::needs_all).then(Vec::new);
        Self {
            site,
            seen: BodySeen::default(),
            decoder: searches.then(|| charset(headers)).flatten(),
            regex,
            regex_not,
            text,
            json: (!expect.json.is_empty()).then(Vec::new),
            beginning: Vec::new(),
        }
    }

    /// Whether reading on would change nothing.
    fn knows_enough(&self) -> bool {
        if self.seen.cut {
            return true;
        }
        let expect = &self.site.expect;
        // Without anything to look for, it is being complete that is expected of the body.
        let Some(regex) = &self.regex else {
            return expect.regex_not.is_empty()
                && expect.json.is_empty()
                && expect
                    .max_body_size
                    .is_some_and(|most| self.seen.bytes > most);
        };
        regex.answer().is_some()
            && expect.regex_not.is_empty()
            && expect.json.is_empty()
            && expect
                .min_body_size
                .is_none_or(|least| self.seen.bytes >= least)
            && expect
                .max_body_size
                .is_none_or(|most| self.seen.bytes > most)
    }

    fn take(&mut self, piece: &[u8]) {
        let room = self.site.body_limit.saturating_sub(self.seen.bytes);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.seen.cut = piece.len() > room;
        let piece = piece.get(..room).unwrap_or(piece);
        self.seen.bytes += piece.len() as u64;
        let wanted = Evidence::room(self.site.capture).saturating_sub(self.beginning.len());
        self.beginning
            .extend_from_slice(piece.get(..wanted).unwrap_or(piece));
        if let Some(json) = &mut self.json {
            json.extend(piece);
        }
        let Some(decoder) = &mut self.decoder else {
            return self.search(piece);
        };
        // A byte of another charset is at most three bytes of UTF-8.
        let mut text = String::with_capacity(piece.len() * 3 + 16);
        let (_, _, _) = decoder.decode_to_string(piece, &mut text, false);
        self.search(text.as_bytes());
    }

    fn search(&mut self, text: &[u8]) {
        if let Some(all) = &mut self.text {
            all.extend(text);
        }
        for search in self.regex.iter_mut().chain(&mut self.regex_not) {
            search.feed(text);
        }
    }

    fn finish(mut self) -> (BodySeen, Vec<u8>) {
        let all = self.text.unwrap_or_default();
        self.seen.regex = self.regex.map(|search| search.finish(&all));
        let regex_not = self.regex_not.into_iter();
        self.seen.regex_not = regex_not.map(|search| search.finish(&all)).collect();
        if let Some(body) = self.json {
            self.seen.json_problem = json::problem(&self.site.expect.json, &body, self.seen.cut);
        }
        (self.seen, self.beginning)
    }
}

/// The decoder for what the response says its charset is; `None` for UTF-8 and what reads as it.
fn charset(headers: &HeaderMap) -> Option<Decoder> {
    let content_type = headers
        .get(CONTENT_TYPE)?
        .to_str()
        .ok()?
        .to_ascii_lowercase();
    let label = content_type.split("charset=").nth(1)?;
    let label = label
        .trim_start_matches('"')
        .split(['"', ';', ' '])
        .next()?;
    let encoding = Encoding::for_label(label.as_bytes())?;
    (encoding != UTF_8).then(|| encoding.new_decoder())
}
