//! Reading a body: decompressed, decoded, searched while it arrives, and no further than needed.

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;

use encoding_rs::{Decoder, Encoding, UTF_8};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use sitewatch::event::Outcome;
use sitewatch::site::Site;
use ureq::BodyReader;
use ureq::http::HeaderMap;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::failure::Failure;
use super::json;
use super::observation::BodySeen;
use super::pattern::Patterns;
use super::search::Search;
use super::trace::Phase;

/// As much as one read of the transport gives. Not on the stack: what a thread's stack has once
/// held it keeps, and this would be there while the thread waits for its next site.
const PIECE: usize = 8 * 1024;
/// What a compressed body may be larger than the most that is read of it decompressed: what does
/// not compress grows by a thousandth.
const OVERHEAD: u64 = 64 * 1024;

/// Reads the body as far as the site's expectations need it.
///
/// # Errors
/// Why it ended before it was complete; what was seen until then comes with it.
pub(super) fn read(
    site: &Site,
    patterns: &Patterns,
    headers: &HeaderMap,
    body: BodyReader<'_>,
) -> (BodySeen, Option<Failure>) {
    let mut reader = match decompressed(headers, body, site.body_limit) {
        Ok(reader) => reader,
        Err(failure) => return (BodySeen::default(), Some(failure)),
    };
    let mut watch = Watch::new(site, patterns, headers);
    let mut piece = vec![0; PIECE];
    loop {
        if watch.knows_enough() {
            return (watch.finish(), None);
        }
        let read = match reader.read(&mut piece) {
            Ok(0) => return (watch.finish(), None),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return (watch.finish(), Some(failure(error))),
        };
        watch.take(piece.get(..read).unwrap_or_default());
    }
}

enum Decompressed<'a> {
    Plain(BodyReader<'a>),
    Gzip(Box<MultiGzDecoder<Compressed<'a>>>),
    Deflate(Box<ZlibDecoder<Compressed<'a>>>),
}

/// A body as it came. Empty members and blocks make nothing of as much as there is: the decoder
/// would go on reading, and [`Watch`] would never see a byte of it.
type Compressed<'a> = BufReader<AtMost<BodyReader<'a>>>;

struct AtMost<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for AtMost<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let why = "it is larger compressed than it may be decompressed";
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(read)
    }
}

impl Read for Decompressed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Deflate(reader) => reader.read(buffer),
        }
    }
}

fn decompressed<'a>(
    headers: &HeaderMap,
    body: BodyReader<'a>,
    limit: u64,
) -> Result<Decompressed<'a>, Failure> {
    let encoding = headers
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if matches!(encoding.as_str(), "" | "identity") {
        return Ok(Decompressed::Plain(body));
    }
    let at_most = AtMost {
        reader: body,
        left: limit.saturating_add(OVERHEAD),
    };
    let mut body = BufReader::with_capacity(PIECE, at_most);
    // The answer to HEAD, and one without content, name the encoding of what is not there.
    if body.fill_buf().map_err(failure)?.is_empty() {
        return Ok(Decompressed::Plain(body.into_inner().reader));
    }
    match encoding.as_str() {
        "gzip" | "x-gzip" => Ok(Decompressed::Gzip(Box::new(MultiGzDecoder::new(body)))),
        "deflate" => Ok(Decompressed::Deflate(Box::new(ZlibDecoder::new(body)))),
        other => Err(Failure::new(
            Outcome::Protocol,
            format!("the body is encoded as {other:?}, which was not asked for"),
        )),
    }
}

fn failure(error: io::Error) -> Failure {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<ureq::Error>())
    {
        return Failure::of_ureq(Phase::Body, &ureq::Error::from(error));
    }
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Failure::new(
            Outcome::Protocol,
            format!("the body cannot be decompressed: {error}"),
        ),
        _ => Failure::of_io(Phase::Body, "the server", &error),
    }
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
    /// The text so far, when an expression needs all of it.
    text: Option<Vec<u8>>,
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

    fn finish(mut self) -> BodySeen {
        let all = self.text.unwrap_or_default();
        self.seen.regex = self.regex.map(|search| search.finish(&all));
        let regex_not = self.regex_not.into_iter();
        self.seen.regex_not = regex_not.map(|search| search.finish(&all)).collect();
        if let Some(body) = self.json {
            self.seen.json_problem = json::problem(&self.site.expect.json, &body, self.seen.cut);
        }
        self.seen
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
