//! One request and its response over a connection: `ureq-proto` knows HTTP/1.1, this moves the bytes.

use std::io;
use std::pin::pin;
use std::time::Duration;

use memchr::memmem;
use sitewatch::event::Outcome;
use ureq_proto::BodyMode;
use ureq_proto::client::state::{Await100, RecvBody, RecvResponse, SendBody, SendRequest};
use ureq_proto::client::{Await100Result, Call, RecvResponseResult, SendRequestResult};
use ureq_proto::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use ureq_proto::http::{HeaderValue, Method, Request, Response};

use super::body::Reading;
use super::failure::Failure;
use super::limit::within;
use super::resolve::bracketed;
use super::tls::alert;
use super::trace::{Phase, Trace};
use super::wire::{Channel, with_buffer};

/// The longest head of a response that is read, in bytes: what browsers read.
const MAX_HEAD: usize = 256 * 1024;
/// The longest line of a request's head: servers take 8 to 64 KiB.
const MAX_LINE: usize = 64 * 1024;
/// The longest frame of a chunk: its length and what is said about it.
const MAX_FRAME: usize = 128 * 1024;
/// Interim responses that a server may send: 103 comes once or twice, 102 every twenty seconds.
const MAX_INTERIM: u32 = 64;
/// Bytes that may come for each byte of the body: a chunk of a single byte comes as six.
const MAX_OVERHEAD: u64 = 8;
/// How long a server that was told `Expect: 100-continue` may take to say so (RFC 9110, section
/// 10.1.1: not for ever).
const CONTINUE: Duration = Duration::from_secs(1);
/// A piece of the request's head: all of it, mostly.
const HEAD_PIECE: usize = 512;
/// A piece of the request's body.
const PIECE: usize = 8 * 1024;

/// A request under way.
pub(super) struct Exchange<'a> {
    channel: Channel<'a>,
    trace: &'a Trace,
    /// What has come and is not used up.
    input: Vec<u8>,
    /// The most that is read of the body.
    body_limit: u64,
    /// Bytes of the response so far, as they came.
    received: u64,
}

/// A request that is ready to be sent.
pub(super) struct Prepared {
    call: Call<SendRequest>,
    pub(super) head: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl Prepared {
    /// Writes the head of the request; `whole_url`: for a proxy, which is told the whole URL (RFC 9112,
    /// section 3.2.2) of a server by this host and port.
    pub(super) fn new(
        mut request: Request<()>,
        body: Option<Vec<u8>>,
        whole_url: Option<(&str, u16)>,
    ) -> Result<Self, Failure> {
        let says_length = [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|name| request.headers().contains_key(name));
        let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
        if !says_length && (body.is_some() || expects_body) {
            let length = HeaderValue::from(body.as_ref().map_or(0, Vec::len));
            request.headers_mut().insert(CONTENT_LENGTH, length);
        }
        let line = longest_line(&request);
        if line > MAX_LINE {
            let text = format!("a header of the request is {line} bytes long; at most {MAX_LINE}");
            return Err(Failure::new(Outcome::Local, text));
        }
        let mut call = Call::new(request).map_err(|error| unsendable(&error))?;
        call.allow_non_standard_methods(true);
        let mut call = call.proceed();
        let mut head = Vec::new();
        while !call.can_proceed() {
            let filled = head.len();
            // Each line has to fit as a whole.
            head.resize(filled + HEAD_PIECE.max(line), 0);
            let piece = head.get_mut(filled..).unwrap_or_default();
            let written = call.write(piece).map_err(|error| unsendable(&error))?;
            head.truncate(filled + written);
        }
        if let Some((host, port)) = whole_url {
            head = in_absolute_form(&head, host, port);
        }
        Ok(Self { call, head, body })
    }

    /// What follows the head, now that it is sent.
    pub(super) fn sent(self) -> Result<(SendRequestResult, Option<Vec<u8>>), Failure> {
        let proceeded = self.call.proceed().map_err(|error| unsendable(&error))?;
        Ok((proceeded.ok_or_else(no_progress)?, self.body))
    }
}

/// The rest of a response, behind its head.
pub(super) type Rest = Option<Call<RecvBody>>;

/// What follows a head that was read.
pub(super) fn rest(call: Call<RecvResponse>) -> Result<Rest, Failure> {
    match call.proceed().ok_or_else(no_progress)? {
        RecvResponseResult::RecvBody(call) => Ok(Some(call)),
        RecvResponseResult::Redirect(_) | RecvResponseResult::Cleanup(_) => Ok(None),
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn new(channel: Channel<'a>, trace: &'a Trace, body_limit: u64) -> Self {
        Self {
            channel,
            trace,
            input: Vec::new(),
            body_limit,
            received: 0,
        }
    }

    pub(super) async fn send_body(
        &mut self,
        mut call: Call<SendBody>,
        body: Option<Vec<u8>>,
    ) -> Result<Call<RecvResponse>, Failure> {
        let body = body.unwrap_or_default();
        if !call.is_chunked() {
            call.consume_direct_write(body.len())
                .map_err(|error| unsendable(&error))?;
            if !call.can_proceed() {
                return Err(unsendable(&"its body is shorter than its Content-Length"));
            }
            self.write(&body).await?;
            return call.proceed().ok_or_else(no_progress);
        }
        let mut left = body.as_slice();
        while !call.can_proceed() {
            // A piece with its frame.
            let mut output = vec![0; PIECE + 64];
            let piece = left.get(..left.len().min(PIECE)).unwrap_or_default();
            let (used, written) = call
                .write(piece, &mut output)
                .map_err(|error| unsendable(&error))?;
            left = left.get(used..).unwrap_or_default();
            self.write(output.get(..written).unwrap_or_default())
                .await?;
        }
        call.proceed().ok_or_else(no_progress)
    }

    /// The body is sent when the server says so, or nothing for a while.
    pub(super) async fn await_continue(
        &mut self,
        mut call: Call<Await100>,
        body: Option<Vec<u8>>,
    ) -> Result<Call<RecvResponse>, Failure> {
        while call.can_keep_await_100() {
            let read = within(self.trace, CONTINUE, pin!(self.fill(Phase::FirstByte))).await;
            match read {
                None => break,
                Some(read) => {
                    if read? == 0 {
                        return Err(self.ended(Phase::FirstByte));
                    }
                }
            }
            let used = call
                .try_read_100(&self.input)
                .map_err(|error| Failure::of_http(&error))?;
            self.input.drain(..used);
            if self.input.len() > MAX_HEAD {
                return Err(too_large());
            }
        }
        match call.proceed().map_err(|error| Failure::of_http(&error))? {
            Await100Result::SendBody(call) => self.send_body(call, body).await,
            Await100Result::RecvResponse(call) => Ok(call),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Err(error) = self.channel.write_all(bytes).await else {
            return Ok(());
        };
        // A server that closes in the middle of a request has mostly said why before.
        if matches!(self.channel, Channel::Tls(_))
            && let Err(said) = self.channel.read(&mut Vec::new()).await
            && alert(&said).is_some()
        {
            return Err(failed(Phase::FirstByte, &said));
        }
        Err(failed(Phase::FirstByte, &error))
    }

    /// Waits for more of the response; 0: there is no more.
    async fn fill(&mut self, phase: Phase) -> Result<usize, Failure> {
        let read = match self.channel.read(&mut self.input).await {
            Err(error) if phase == Phase::Body && is_end(&error) => 0,
            read => read.map_err(|error| failed(phase, &error))?,
        };
        self.received += read as u64;
        if self.received > self.body_limit.saturating_mul(MAX_OVERHEAD) + (1 << 20) {
            let text = format!(
                "{} bytes came for a page of which no more than {} are read",
                self.received, self.body_limit
            );
            return Err(Failure::new(Outcome::Protocol, text));
        }
        Ok(read)
    }

    /// Reads the response's head. The first byte may take as long as `limit`.
    pub(super) async fn head(
        &mut self,
        call: &mut Call<RecvResponse>,
        limit: Option<Duration>,
    ) -> Result<Response<()>, Failure> {
        if self.input.is_empty() {
            let read = match limit {
                None => self.fill(Phase::FirstByte).await?,
                Some(limit) => within(self.trace, limit, pin!(self.fill(Phase::FirstByte)))
                    .await
                    .ok_or_else(|| Failure::timeout(Phase::FirstByte))??,
            };
            if read == 0 {
                return Err(self.ended(Phase::FirstByte));
            }
        }
        self.trace.answered();
        let mut interim = 0;
        let mut look = Look::default();
        loop {
            let (used, response) = if look.is_worth_it(&self.input) {
                call.try_response(&self.input, false)
                    .map_err(|error| Failure::of_http(&error))?
            } else {
                (0, None)
            };
            if used > MAX_HEAD || (response.is_none() && self.input.len() > MAX_HEAD) {
                return Err(too_large());
            }
            self.input.drain(..used);
            if let Some(response) = response {
                return Ok(response);
            }
            if used > 0 {
                look = Look::default();
                interim += 1;
                if interim > MAX_INTERIM {
                    let text = format!("more than {MAX_INTERIM} interim (1xx) responses");
                    return Err(Failure::new(Outcome::Protocol, text));
                }
                if !self.input.is_empty() {
                    continue;
                }
            }
            if self.fill(Phase::FirstByte).await? == 0 {
                return Err(self.ended(Phase::FirstByte));
            }
        }
    }

    /// Reads the body until there is no more of it, or nobody wants to know more.
    pub(super) async fn body(
        &mut self,
        call: &mut Call<RecvBody>,
        reading: &mut Reading<'_>,
    ) -> Result<(), Failure> {
        loop {
            let before = self.input.len();
            if self.take(call, reading)? {
                return Ok(());
            }
            // What is complete is used up: this is the frame of a chunk that never comes to its end.
            if self.input.len() > MAX_FRAME {
                let text = "a chunk of the body begins with more than it may";
                return Err(Failure::new(Outcome::Protocol, text));
            }
            if self.input.len() < before && !self.input.is_empty() {
                continue;
            }
            if self.fill(Phase::Body).await? == 0 {
                // Some servers close before the last line end of a body in chunks.
                return if call.can_proceed() || call.is_ended_chunked() {
                    reading.end()
                } else {
                    Err(self.ended(Phase::Body))
                };
            }
        }
    }

    /// Hands on what has come; whether that is all.
    fn take(
        &mut self,
        call: &mut Call<RecvBody>,
        reading: &mut Reading<'_>,
    ) -> Result<bool, Failure> {
        with_buffer(|piece| {
            loop {
                let is_over = match call.body_mode() {
                    BodyMode::CloseDelimited => false,
                    _ => call.can_proceed(),
                };
                if is_over {
                    return reading.end().map(|()| true);
                }
                let (used, got) = call
                    .read(&self.input, piece)
                    .map_err(|error| Failure::of_http(&error))?;
                self.input.drain(..used);
                if got > 0 && reading.take(piece.get(..got).unwrap_or_default())? {
                    return Ok(true);
                }
                if used == 0 && got == 0 {
                    if self.input.is_empty() {
                        // Nothing is held while the rest is waited for.
                        self.input = Vec::new();
                    }
                    return Ok(false);
                }
            }
        })
    }

    fn ended(&self, phase: Phase) -> Failure {
        failed(phase, &io::ErrorKind::UnexpectedEof.into())
    }
}

/// When a head is worth parsing. It is parsed from its beginning each time, so one that comes byte
/// by byte would cost the square of its length.
#[derive(Default)]
struct Look {
    /// How much of the input was searched for the end of a head, and how much there was when it was
    /// last parsed.
    searched: usize,
    parsed: usize,
}

impl Look {
    /// When it may be complete, and while it is not, whenever there is twice as much.
    fn is_worth_it(&mut self, input: &[u8]) -> bool {
        let mut worth = input.len() < PIECE / 2 || input.len() >= 2 * self.parsed;
        if !worth {
            // The end of a line and an empty one, whose first bytes may have been there before.
            let new = input
                .get(self.searched.saturating_sub(3)..)
                .unwrap_or_default();
            worth = memmem::find(new, b"\n\r\n")
                .or(memmem::find(new, b"\n\n"))
                .is_some();
        }
        self.searched = input.len();
        if worth {
            self.parsed = input.len();
        }
        worth
    }
}

/// The length of the longest line in the head of a request, its end included.
fn longest_line(request: &Request<()>) -> usize {
    // The version or "host:", spaces, the end of the line.
    let uri = request.uri();
    let target = uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let host = uri.authority().map_or(0, |host| host.as_str().len());
    let first = target.max(host) + request.method().as_str().len() + 16;
    let headers = request.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .fold(first, usize::max)
}

/// Whether an error is one of the ways in which servers end connections.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

fn failed(phase: Phase, error: &io::Error) -> Failure {
    // TLS 1.3 lets the client finish before the server has judged its certificate, so the refusal
    // arrives in place of the response.
    if let Some(tls) = alert(error) {
        let text = format!(
            "the server ended the TLS connection: {}",
            super::tls::reasons(tls)
        );
        return Failure::new(Outcome::Tls, text);
    }
    Failure::of_io(phase, "the server", error)
}

fn too_large() -> Failure {
    let text = format!("the response's head is larger than {} KiB", MAX_HEAD >> 10);
    Failure::new(Outcome::Protocol, text)
}

fn unsendable(why: &impl std::fmt::Display) -> Failure {
    Failure::new(Outcome::Local, format!("the request cannot be sent: {why}"))
}

/// `ureq-proto` always goes on once it says that it can.
fn no_progress() -> Failure {
    Failure::new(Outcome::Local, "the request got stuck: an internal error")
}

/// The head of a request with the whole URL in its first line.
fn in_absolute_form(head: &[u8], host: &str, port: u16) -> Vec<u8> {
    let target = head.iter().position(|byte| *byte == b' ');
    let (method, rest) = head.split_at(target.map_or(0, |at| at + 1));
    let server = format!("http://{}:{port}", bracketed(host));
    [method, server.as_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_comes_byte_by_byte_is_parsed_a_few_times() {
        let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(200_000));
        let mut look = Look::default();
        let parsed = (1..=head.len())
            .filter(|length| {
                let input = head.as_bytes().get(..*length).unwrap_or_default();
                look.is_worth_it(input) && *length > PIECE
            })
            .count();
        // At every doubling, and at the end.
        assert!((4..10).contains(&parsed), "{parsed}");
    }
}
