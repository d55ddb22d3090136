//! A connection whose every read and write ends by a deadline.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::trace::Trace;

/// A TCP connection with a deadline that may be moved.
///
/// The deadline is in the site's time: what this thread waited for a processor is added to it. And
/// it ends waiting, not reading: bytes that have come by then are read, however late we are.
#[derive(Debug)]
pub(super) struct Timed {
    stream: Arc<TcpStream>,
    trace: Arc<Trace>,
    /// Reads and writes fail with [`io::ErrorKind::TimedOut`] from then on.
    pub(super) deadline: Instant,
    /// The most that may be added to the deadline.
    longest: Duration,
    /// What was added to it so far.
    added: Duration,
    /// Whether what was waited for was there when the time was up all the same.
    late: bool,
}

impl Timed {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        trace: Arc<Trace>,
        deadline: Instant,
        longest: Duration,
    ) -> Self {
        Self {
            stream,
            trace,
            deadline,
            longest,
            added: Duration::ZERO,
            late: false,
        }
    }

    /// Whether the peer had done its part when the time was up: its bytes, or its room for ours,
    /// were there and we had not come to them. Only the kernel knows; our clock does not.
    pub(super) fn late(&self) -> bool {
        self.late
    }

    /// Waits until there is something to read, or the connection is at its end.
    ///
    /// # Errors
    /// When the time is up.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.wait_for(PollFlags::IN)
    }

    fn wait_for(&mut self, wanted: PollFlags) -> io::Result<()> {
        loop {
            let left = self.left(wanted)?;
            if self.poll(wanted, left)? {
                return Ok(());
            }
        }
    }

    /// Whether this comes within `longest`; an interrupted wait is over early.
    fn poll(&self, wanted: PollFlags, longest: Duration) -> io::Result<bool> {
        let longest = Timespec::try_from(longest).ok();
        let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), wanted)];
        match poll(&mut fds, longest.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The time that is left to wait for this; none when it is there although the time is up.
    fn left(&mut self, wanted: PollFlags) -> io::Result<Duration> {
        let now = Instant::now();
        let left = (self.deadline + self.added).saturating_duration_since(now);
        if !left.is_zero() {
            return Ok(left);
        }
        self.added = self.trace.waited().min(self.longest);
        let until = self.deadline + self.added;
        let left = until.saturating_duration_since(now);
        if !left.is_zero() {
            return Ok(left);
        }
        if !self.poll(wanted, Duration::ZERO)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // What is read now came in time, or was on its way. A peer that sends and sends is not
        // waited for any longer, and neither is what we should have sent long ago.
        if wanted == PollFlags::IN && now < until + self.longest {
            return Ok(Duration::ZERO);
        }
        self.late = true;
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Read for Timed {
    /// Takes what is there, and waits only for what is not, as long as the deadline allows: no
    /// timeout of the socket's own is set, which would cost a system call whenever less time is left.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.left(PollFlags::IN)?;
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
            self.left(PollFlags::OUT)?;
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
    pub(super) fn wait(&mut self) -> io::Result<()> {
        if self.0.buffer().is_empty() {
            return self.0.get_mut().wait();
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
