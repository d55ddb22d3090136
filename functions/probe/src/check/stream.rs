//! A connection whose every read and write ends by a deadline.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// A TCP connection with a deadline that may be moved.
#[derive(Debug)]
pub(super) struct Timed {
    stream: Arc<TcpStream>,
    /// Reads and writes fail with [`io::ErrorKind::TimedOut`] from then on.
    pub(super) deadline: Instant,
}

impl Timed {
    pub(super) fn new(stream: Arc<TcpStream>, deadline: Instant) -> Self {
        Self { stream, deadline }
    }

    /// Waits until there is something to read, or the connection is at its end.
    ///
    /// # Errors
    /// When the time is up.
    pub(super) fn wait(&self) -> io::Result<()> {
        self.wait_for(PollFlags::IN)
    }

    fn wait_for(&self, ready: PollFlags) -> io::Result<()> {
        loop {
            let left = Timespec::try_from(self.left()?).ok();
            let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), ready)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
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
    /// Takes what is there, and waits only for what is not, as long as the deadline allows: no
    /// timeout of the socket's own is set, which would cost a system call whenever less time is left.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.left()?;
            match recv(&self.stream, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((read, _)) => return Ok(read),
                Err(Errno::AGAIN) => self.wait()?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Write for Timed {
    /// As [`Timed::read`]: a server that takes nothing may hold up a large body for ever.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            self.left()?;
            // A connection that the server has closed is an error, not a signal to this process.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(&self.stream, buffer, flags) {
                Ok(written) => return Ok(written),
                Err(Errno::AGAIN) => self.wait_for(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same with what has come and is not read yet. TLS reads each record in two pieces, which
/// would be two system calls each; a handshake has half a dozen records.
#[derive(Debug)]
pub(super) struct Buffered(BufReader<Timed>);

impl Buffered {
    /// A chain of certificates is one to two of this; more would only be held by connections that
    /// wait.
    const SIZE: usize = 4 * 1024;

    pub(super) fn new(stream: Timed) -> Self {
        Self(BufReader::with_capacity(Self::SIZE, stream))
    }

    pub(super) fn timed(&mut self) -> &mut Timed {
        self.0.get_mut()
    }

    /// Waits until there is something to read, or the connection is at its end.
    ///
    /// # Errors
    /// When the time is up.
    pub(super) fn wait(&self) -> io::Result<()> {
        if self.0.buffer().is_empty() {
            return self.0.get_ref().wait();
        }
        Ok(())
    }
}

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Buffered {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
