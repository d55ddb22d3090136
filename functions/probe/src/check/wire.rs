//! A connection as an attempt sees it: bytes, and when each of them moved.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::kernel::{Received, receive};
use super::trace::Trace;

/// A TCP connection that tells its trace when it sends and when something arrived.
#[derive(Debug)]
pub(super) struct Wire<'a> {
    stream: TcpStream,
    trace: &'a Trace,
    /// Whether what is sent next had to wait for room: then that time was not ours.
    waits_for_room: bool,
    /// Read too early, and next to be read.
    unread: Vec<u8>,
    sent: Sent,
}

/// What was sent so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    /// One segment, which the kernel holds back for nobody.
    Segment,
    /// More, and the kernel was told not to hold back any of it.
    More,
}

/// What is a segment on every path (RFC 9293, section 3.7.1).
const SEGMENT: usize = 536;

impl<'a> Wire<'a> {
    pub(super) fn new(stream: TcpStream, trace: &'a Trace) -> Self {
        Self {
            stream,
            trace,
            waits_for_room: false,
            unread: Vec::new(),
            sent: Sent::Nothing,
        }
    }

    /// Gives back what was read and belongs to whoever reads next.
    pub(super) fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
    }

    /// Before so many bytes are sent. What follows a segment would wait until the peer has seen that
    /// (Nagle's algorithm): our delay, not the site's. A plain request is nothing but one segment,
    /// and is spared the system call.
    fn expedite(&mut self, length: usize) -> io::Result<()> {
        self.sent = match self.sent {
            Sent::Nothing if length <= SEGMENT => Sent::Segment,
            Sent::Nothing | Sent::Segment => {
                self.stream.set_nodelay(true)?;
                Sent::More
            }
            Sent::More => Sent::More,
        };
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.stream
            .try_io(Interest::READABLE, || receive(&self.stream, buffer))
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let amount = self.unread.len().min(buffer.remaining());
            buffer.put_slice(self.unread.get(..amount).unwrap_or_default());
            self.unread.drain(..amount);
            return Poll::Ready(Ok(()));
        }
        loop {
            let received = match self.stream.poll_read_ready(context) {
                Poll::Ready(ready) => {
                    ready?;
                    self.receive(buffer.initialize_unfilled())
                }
                // Readiness may not have come to us yet.
                Poll::Pending if self.trace.is_last_look() => {
                    receive(&self.stream, buffer.initialize_unfilled())
                }
                Poll::Pending => return Poll::Pending,
            };
            match received {
                Ok(received) if received.length == 0 => self.trace.happened_now(),
                Ok(received) => {
                    self.trace.arrived(received.arrived);
                    if received.length == buffer.remaining() {
                        // More has come than is taken at once: the sender may be waiting for us.
                        self.trace.sending();
                    }
                    buffer.advance(received.length);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.trace.is_last_look() {
                        return Poll::Pending;
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.trace.happened_now();
                    return Poll::Ready(Err(error));
                }
            }
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits_for_room {
            self.trace.happened_now();
        } else {
            self.trace.sending();
        }
        self.expedite(bytes.len())?;
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waits_for_room = sent.is_pending();
        sent
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What requests and responses travel on.
#[derive(Debug)]
pub(super) enum Channel<'a> {
    Plain(Wire<'a>),
    Tls(Box<SslStream<Wire<'a>>>),
}

/// A page of 5 KB and its head in one read; as much as a record of TLS may hold.
const PIECE: usize = 16 * 1024;

thread_local! {
    /// What every connection of a thread reads into: a buffer of its own for each would be most of
    /// the memory of thousands that wait.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// Lends the thread's buffer to something that does not wait.
pub(super) fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| work(buffer))
}

impl Channel<'_> {
    /// Waits for bytes and appends them; 0: the connection is at its end.
    pub(super) async fn read(&mut self, input: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|context| {
            with_buffer(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(match self {
                    Self::Plain(wire) => Pin::new(wire).poll_read(context, &mut buffer),
                    Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, &mut buffer),
                })?;
                input.extend_from_slice(buffer.filled());
                Poll::Ready(Ok(buffer.filled().len()))
            })
        })
        .await
    }

    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| match self {
                Self::Plain(wire) => Pin::new(wire).poll_write(context, bytes),
                Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
            })
            .await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}
