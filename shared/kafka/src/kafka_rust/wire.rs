//! A connection to one broker that speaks the protocol itself: the few requests that the `kafka`
//! crate does not have.
//!
//! Answers are read as they come and never held as a whole, so that their size costs no memory.

use std::io::{self, BufReader, ErrorKind, Read, Take, Write};
use std::net::TcpStream;
use std::time::Duration;

use openssl::ssl::SslStream;

/// The longest name that is read: of a host, a topic, a rack.
const MAX_TEXT: u64 = 1024;

/// The socket, with TLS or without.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(SslStream<TcpStream>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A request of ours.
pub(super) struct Request {
    pub(super) key: i16,
    pub(super) version: i16,
    /// Whether header and answer of this version have tagged fields.
    pub(super) flexible: bool,
    pub(super) body: Vec<u8>,
}

pub(super) struct Wire {
    stream: BufReader<Stream>,
    client_id: String,
}

impl Wire {
    /// `longest` is how long each wait for the broker may take from here on.
    pub(super) fn new(stream: Stream, client_id: &str, longest: Duration) -> io::Result<Self> {
        let socket = match &stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.get_ref(),
        };
        socket.set_read_timeout(Some(longest))?;
        socket.set_write_timeout(Some(longest))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            client_id: client_id.to_owned(),
        })
    }

    /// Sends a request and has `read` take the answer. What it leaves of the answer is skipped.
    pub(super) fn ask<T>(
        &mut self,
        request: &Request,
        read: impl FnOnce(&mut Answer<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut frame = Vec::with_capacity(32 + self.client_id.len() + request.body.len());
        frame.extend(request.key.to_be_bytes());
        frame.extend(request.version.to_be_bytes());
        frame.extend(1_i32.to_be_bytes()); // correlation: one request at a time
        let id_len = i16::try_from(self.client_id.len()).unwrap_or(0);
        frame.extend(id_len.to_be_bytes());
        frame.extend(
            self.client_id
                .bytes()
                .take(usize::try_from(id_len).unwrap_or(0)),
        );
        if request.flexible {
            frame.push(0); // no tagged fields
        }
        frame.extend(&request.body);
        let length = i32::try_from(frame.len()).map_err(|_| malformed())?;
        let stream = self.stream.get_mut();
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&frame)?;
        stream.flush()?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u64::try_from(i32::from_be_bytes(length)).map_err(|_| malformed())?;
        let mut answer = Answer((&mut self.stream).take(length));
        answer.skip(4)?;
        if request.flexible {
            answer.skip_tags()?;
        }
        let found = read(&mut answer)?;
        let rest = answer.left();
        answer.skip(rest)?;
        Ok(found)
    }
}

/// An answer as it arrives.
pub(super) struct Answer<'w>(Take<&'w mut BufReader<Stream>>);

impl Answer<'_> {
    /// Bytes that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.0.limit()
    }

    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn i16(&mut self) -> io::Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> io::Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned number of the format's variable length.
    pub(super) fn unsigned(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(malformed())
    }

    /// The length of a compact list, text or bytes; 0 also for none.
    pub(super) fn length(&mut self) -> io::Result<u64> {
        self.unsigned().map(|number| number.saturating_sub(1))
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        let length = self.length()?;
        if length > MAX_TEXT {
            return Err(malformed());
        }
        let mut text = String::new();
        (&mut self.0).take(length).read_to_string(&mut text)?;
        Ok(text)
    }

    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut (&mut self.0).take(bytes), &mut io::sink())? == bytes {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Tagged fields: none of what we ask for is in them.
    pub(super) fn skip_tags(&mut self) -> io::Result<()> {
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let length = self.unsigned()?;
            self.skip(length)?;
        }
        Ok(())
    }
}

/// A text as flexible requests have it.
pub(super) fn compact_text(to: &mut Vec<u8>, text: &str) {
    let mut length = text.len() as u64 + 1;
    while length >= 0x80 {
        to.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    to.push(u8::try_from(length).unwrap_or(0));
    to.extend(text.bytes());
}

pub(super) fn malformed() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "its answer is not as Kafka's protocol has it",
    )
}
