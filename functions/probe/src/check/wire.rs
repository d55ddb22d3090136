//! ureq's connector and transport, for one hop: connect, shake hands, carry the bytes, and note
//! the time of each.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use openssl::ssl::SslStream;
use sitewatch::event::Outcome;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::MAX_HEAD;
use super::buffers::WireBuffers;
use super::connect::{Unconnected, connect};
use super::failure::Failure;
use super::hop::Hop;
use super::stream::{Buffered, Timed};
use super::tls::{Unsecured, handshake};
use super::trace::Phase;
use super::tunnel::{Untunnelled, open_tunnel};

/// Interim responses that a server may send: 103 comes once or twice, 102 every twenty seconds.
const MAX_INTERIM: u32 = 64;
/// Bytes that may come for each byte of the body: a chunk of a single byte comes as six.
const MAX_OVERHEAD: u64 = 8;

/// Makes the connection of one hop.
pub(super) struct HopConnector(pub(super) Arc<Hop>);

impl fmt::Debug for HopConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopConnector")
    }
}

impl Connector for HopConnector {
    type Out = Wire;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Wire>, Error> {
        let hop = &self.0;
        let deadline = match hop.site.timeouts.connect {
            Some(timeout) => hop.deadline.min(Instant::now() + timeout),
            None => hop.deadline,
        };
        let mut stream = self.connect_tcp(details, deadline)?;
        if let (Some(via), true) = (&hop.via, hop.secure) {
            open_tunnel(&mut stream, via, &hop.target(), hop.port).map_err(
                |error| match error {
                    Untunnelled::Timeout => hop.timed_out(Phase::Connect, stream.late()),
                    Untunnelled::Failed(text) => fail(hop, Failure::new(Outcome::Connect, text)),
                },
            )?;
        }
        hop.trace.end(Phase::Connect);
        let channel = if hop.secure {
            Channel::Tls(Box::new(self.secure(stream)?))
        } else {
            Channel::Plain(stream)
        };
        hop.trace.enter(Phase::FirstByte);
        Ok(Some(Wire {
            hop: Arc::clone(hop),
            channel,
            buffers: WireBuffers::for_lines_of(hop.line),
            sent: false,
            answered: false,
            received: 0,
        }))
    }
}

impl HopConnector {
    fn connect_tcp(
        &self,
        details: &ConnectionDetails<'_>,
        deadline: Instant,
    ) -> Result<Timed, Error> {
        let hop = &self.0;
        hop.trace.enter(Phase::Connect);
        let connected = connect(
            &details.addrs,
            hop.site.request.source_address,
            deadline,
            &|| hop.trace.waited().min(hop.site.timeouts.total),
            &hop.interrupt,
        );
        match connected {
            Ok((stream, address)) => {
                hop.trace.note(|noted| noted.remote = Some(address.ip()));
                Ok(Timed::new(
                    stream,
                    Arc::clone(&hop.trace),
                    deadline,
                    hop.site.timeouts.total,
                ))
            }
            Err(Unconnected::Timeout { late }) => {
                hop.trace.end(Phase::Connect);
                hop.trace
                    .note(|noted| noted.remote = details.addrs.first().map(|address| address.ip()));
                Err(hop.timed_out(Phase::Connect, late))
            }
            Err(Unconnected::Local(address, why)) => {
                hop.trace.end(Phase::Connect);
                hop.trace.note(|noted| noted.remote = Some(address.ip()));
                Err(fail(hop, Failure::new(Outcome::Local, why)))
            }
            Err(Unconnected::Failed(address, error)) => {
                hop.trace.end(Phase::Connect);
                hop.trace.note(|noted| noted.remote = Some(address.ip()));
                Err(fail(
                    hop,
                    Failure::of_io(Phase::Connect, &address.to_string(), &error),
                ))
            }
        }
    }

    fn secure(&self, stream: Timed) -> Result<SslStream<Buffered>, Error> {
        let hop = &self.0;
        hop.trace.enter(Phase::Tls);
        let context = hop
            .tools
            .tls
            .get(&hop.site.tls)
            .map_err(|text| fail(hop, Failure::new(Outcome::Local, text)))?;
        let stream = Buffered::new(stream);
        let result = handshake(&context, &hop.site.tls, &hop.host, stream, |seen| {
            hop.trace.note(|noted| noted.certificate = Some(seen));
        });
        hop.trace.end(Phase::Tls);
        result.map_err(|error| match error {
            Unsecured::Timeout { late } => hop.timed_out(Phase::Tls, late),
            Unsecured::Failed(failure) => fail(hop, failure),
        })
    }
}

fn fail(hop: &Hop, failure: Failure) -> Error {
    hop.trace.fail(failure);
    Error::ConnectionFailed
}

/// The bytes of one hop.
pub(super) struct Wire {
    hop: Arc<Hop>,
    channel: Channel,
    buffers: WireBuffers,
    /// Whether a byte of the request has gone out.
    sent: bool,
    /// Whether a byte of the response has come in.
    answered: bool,
    /// Bytes of the response so far, as they came.
    received: u64,
}

enum Channel {
    Plain(Timed),
    Tls(Box<SslStream<Buffered>>),
}

impl Channel {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().timed(),
        }
    }

    /// Whether the peer had done its part when the time was up.
    fn late(&mut self) -> bool {
        self.timed().late()
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// Waits until there is something to read.
    fn wait(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.wait(),
            Self::Tls(stream) if stream.ssl().pending() > 0 => Ok(()),
            Self::Tls(stream) => stream.get_mut().wait(),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Wire {
    fn phase(&self) -> Phase {
        if self.answered {
            Phase::Body
        } else {
            Phase::FirstByte
        }
    }

    fn failed(&mut self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::TimedOut {
            return self.hop.timed_out(self.phase(), self.channel.late());
        }
        // TLS 1.3 lets the client finish before the server has judged its certificate, so the
        // refusal arrives in place of the response.
        if let Some(tls) = alert(&error) {
            let text = format!(
                "the server ended the TLS connection: {}",
                super::tls::reasons(tls)
            );
            self.hop.trace.fail(Failure::new(Outcome::Tls, text));
        }
        Error::Io(error)
    }
}

/// What TLS itself has to say about an error, if it does.
fn alert(error: &io::Error) -> Option<&openssl::ssl::Error> {
    error
        .get_ref()?
        .downcast_ref::<openssl::ssl::Error>()
        .filter(|tls| tls.ssl_error().is_some())
}

fn is_alert(error: &io::Error) -> bool {
    alert(error).is_some()
}

/// Through a proxy, a plain request names the whole URL (RFC 9112, section 3.2.2). ureq writes the
/// path alone, always at the start of the first piece.
fn in_absolute_form(request: &[u8], host: &str, port: u16) -> Option<Vec<u8>> {
    let target = request.iter().position(|byte| *byte == b' ')? + 1;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut absolute = request.get(..target)?.to_vec();
    absolute.extend(format!("http://{host}:{port}").bytes());
    absolute.extend(request.get(target..)?);
    Some(absolute)
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.channel.timed().deadline = self.hop.deadline;
        let to_proxy = !self.sent && !self.hop.secure && self.hop.via.is_some();
        self.sent = true;
        let request = self.buffers.output();
        let request = request.get(..amount).unwrap_or(request);
        let written = match to_proxy
            .then(|| in_absolute_form(request, &self.hop.host, self.hop.port))
            .flatten()
        {
            Some(absolute) => self.channel.write_all(&absolute),
            None => self.channel.write_all(request),
        };
        self.buffers.release_output();
        written.map_err(|error| {
            // A server that closes in the middle of a request has mostly said why before.
            let said = match &mut self.channel {
                Channel::Tls(stream) => stream.read(&mut [0]).err(),
                Channel::Plain(_) => None,
            };
            self.failed(said.filter(is_alert).unwrap_or(error))
        })
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        // What is complete is used up, and heads end at their own limit: this is the frame of a
        // chunk that never comes to its end, for which ureq would go on asking.
        if self.buffers.input().len() > 2 * MAX_HEAD {
            let text = "a chunk of the body begins with more than it may";
            return Err(fail(&self.hop, Failure::new(Outcome::Protocol, text)));
        }
        if self.buffers.interim() > MAX_INTERIM {
            let text = format!("more than {MAX_INTERIM} interim (1xx) responses");
            return Err(fail(&self.hop, Failure::new(Outcome::Protocol, text)));
        }
        let body_limit = self.hop.site.body_limit;
        if self.received > body_limit.saturating_mul(MAX_OVERHEAD) + (1 << 20) {
            let text = format!(
                "{} bytes came for a page of which no more than {body_limit} are read",
                self.received
            );
            return Err(fail(&self.hop, Failure::new(Outcome::Protocol, text)));
        }
        self.channel.timed().deadline = match self.hop.site.timeouts.first_byte {
            Some(timeout) if !self.answered => self.hop.deadline.min(Instant::now() + timeout),
            _ => self.hop.deadline,
        };
        loop {
            // The buffer is made when there is something to put into it.
            let read = self
                .channel
                .wait()
                .and_then(|()| self.channel.read(self.buffers.input_append_buf()))
                .map_err(|error| self.failed(error))?;
            if read > 0 && !self.answered {
                self.answered = true;
                self.channel.timed().deadline = self.hop.deadline;
                self.hop.trace.end(Phase::FirstByte);
                self.hop.trace.enter(Phase::Body);
            }
            self.received += read as u64;
            self.buffers.input_appended(read);
            if read == 0 || self.buffers.is_worth_a_look() {
                return Ok(read > 0);
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // One connection a hop: what comes second on a connection is faster than a visitor's first.
        false
    }

    fn is_tls(&self) -> bool {
        matches!(self.channel, Channel::Tls(_))
    }
}
