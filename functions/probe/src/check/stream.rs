//! A connection whose every read and write ends by a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a read may pass its deadline to save setting the socket's timeout again.
const SLACK: Duration = Duration::from_millis(20);

/// A TCP connection with a deadline that may be moved.
#[derive(Debug)]
pub(super) struct Timed {
    stream: Arc<TcpStream>,
    /// Reads and writes fail with [`io::ErrorKind::TimedOut`] from then on.
    pub(super) deadline: Instant,
    /// The read timeout that the socket has.
    read_timeout: Option<Duration>,
}

impl Timed {
    pub(super) fn new(stream: Arc<TcpStream>, deadline: Instant) -> Self {
        Self {
            stream,
            deadline,
            read_timeout: None,
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            let close_enough = |set: Duration| set <= left + SLACK && left <= set + SLACK;
            if !self.read_timeout.is_some_and(close_enough) {
                self.stream.set_read_timeout(Some(left))?;
                self.read_timeout = Some(left);
            }
            match (&*self.stream).read(buffer) {
                Err(error) if is_retry(&error) => {}
                result => return result,
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // A request fits the socket's buffer; only bodies may have to wait for the server.
        const FITS: usize = 16 * 1024;
        loop {
            let left = self.left()?;
            if buffer.len() > FITS {
                self.stream.set_write_timeout(Some(left))?;
            }
            match (&*self.stream).write(buffer) {
                Err(error) if is_retry(&error) => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A signal, or the socket's own timeout: whether time is left is asked again.
fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}
