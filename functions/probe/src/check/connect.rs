//! TCP connections: to the first of several addresses that answers, from an address of choice.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::failure::local_cause;
use super::interrupt::Interrupt;
use super::route::obstacle;

/// The head start of one address over the next (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How often waiting for several addresses looks whether the run should end.
const SLICE: Duration = Duration::from_millis(100);

/// Why there is no connection.
pub(super) enum Unconnected {
    /// The time was up.
    Timeout {
        /// Whether that was our fault: nothing was sent, or the answer had come by then.
        late: bool,
    },
    /// What is wrong with this machine, whatever the site is like; for people.
    Local(SocketAddr, String),
    /// The last address's error.
    Failed(SocketAddr, io::Error),
}

impl Unconnected {
    /// An error, which is ours if this machine explains it.
    fn failed(address: SocketAddr, error: io::Error) -> Self {
        match local_cause(&error).or_else(|| unreachable(address, &error)) {
            Some(why) => Self::Local(address, why),
            None => Self::Failed(address, error),
        }
    }

    /// No answer in time from these addresses. It is ours if no question got past this machine's
    /// gateways.
    fn unanswered(asked: impl Iterator<Item = SocketAddr>) -> Self {
        let mut local = None;
        for address in asked {
            match obstacle(address.ip()) {
                Some(why) => local = Some(Self::Local(address, why)),
                None => return Self::Timeout { late: false },
            }
        }
        local.unwrap_or(Self::Timeout { late: true })
    }
}

/// What on this machine explains that an address is unreachable.
fn unreachable(address: SocketAddr, error: &io::Error) -> Option<String> {
    // A host far away that its router gives up on. It has no kind of its own.
    const EHOSTDOWN: i32 = 112;
    let may_be_ours = matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
    ) || error.raw_os_error() == Some(EHOSTDOWN);
    may_be_ours.then(|| obstacle(address.ip())).flatten()
}

/// Connects to the first address that answers before `deadline`, to which `waited` is added when it
/// has come: the time that was not the site's.
pub(super) fn connect(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    deadline: Instant,
    waited: &dyn Fn() -> Duration,
    interrupt: &Interrupt,
) -> Result<(Arc<TcpStream>, SocketAddr), Unconnected> {
    match addresses {
        [address] => connect_one(*address, source, deadline, waited, interrupt)
            .map(|stream| (stream, *address)),
        _ => connect_first(addresses, source, deadline, waited, interrupt),
    }
}

/// A blocking connect with a send timeout, which bounds connecting on Linux: half the system calls
/// of a poll, and most sites have one address.
fn connect_one(
    address: SocketAddr,
    source: Option<IpAddr>,
    deadline: Instant,
    waited: &dyn Fn() -> Duration,
    interrupt: &Interrupt,
) -> Result<Arc<TcpStream>, Unconnected> {
    let failed = |error| Unconnected::failed(address, error);
    let mut left = left(deadline, waited).ok_or(Unconnected::Timeout { late: true })?;
    let socket = socket(address, source).map_err(failed)?;
    let stream = Arc::new(TcpStream::from(socket));
    let socket = SockRef::from(&*stream);
    interrupt.watch(&stream);
    loop {
        socket.set_write_timeout(Some(left)).map_err(failed)?;
        match socket.connect(&address.into()) {
            Ok(()) => return Ok(stream),
            // An answer that has come would have made the connection, however late we are.
            Err(error) if is_pending(&error) => {
                left = self::left(deadline, waited)
                    .filter(|_| !interrupt.interrupted())
                    .ok_or_else(|| Unconnected::unanswered([address].into_iter()))?;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unconnected::unanswered([address].into_iter()));
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// The time that is left, if any.
fn left(deadline: Instant, waited: &dyn Fn() -> Duration) -> Option<Duration> {
    let left = |deadline: Instant| deadline.checked_duration_since(Instant::now());
    left(deadline)
        .or_else(|| left(deadline + waited()))
        .filter(|left| !left.is_zero())
}

fn socket(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // The request goes out in one write; waiting for more of it would be our delay, not the site's.
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    Ok(socket)
}

fn is_pending(error: &io::Error) -> bool {
    // EINPROGRESS has no kind of its own.
    const EINPROGRESS: i32 = 115;
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

/// Happy eyeballs: each address gets a head start over the next; the first to answer wins.
fn connect_first(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    deadline: Instant,
    waited: &dyn Fn() -> Duration,
    interrupt: &Interrupt,
) -> Result<(Arc<TcpStream>, SocketAddr), Unconnected> {
    let mut waiting: Vec<(Socket, SocketAddr)> = Vec::new();
    let mut rest = addresses.iter().copied();
    let mut next_at = Instant::now();
    let mut last_error = None;
    loop {
        let now = Instant::now();
        let left = left(deadline, waited).filter(|_| !interrupt.interrupted());
        let Some(left) = left else {
            if !wait(&waiting, Duration::ZERO).is_empty() {
                return Err(Unconnected::Timeout { late: true });
            }
            return Err(Unconnected::unanswered(
                waiting.into_iter().map(|(_, address)| address),
            ));
        };
        if (waiting.is_empty() || now >= next_at)
            && let Some(address) = rest.next()
        {
            next_at = now + ATTEMPT_DELAY;
            match begin(address, source) {
                Ok(socket) => waiting.push((socket, address)),
                Err(error) => keep(&mut last_error, Unconnected::failed(address, error)),
            }
            continue;
        }
        if waiting.is_empty() {
            return Err(last_error.unwrap_or_else(|| {
                Unconnected::failed(
                    SocketAddr::from(([0, 0, 0, 0], 0)),
                    io::ErrorKind::AddrNotAvailable.into(),
                )
            }));
        }
        let until_next = next_at.saturating_duration_since(now);
        let longest = if rest.len() > 0 {
            left.min(until_next)
        } else {
            left
        };
        let ready = wait(&waiting, longest.min(SLICE));
        for index in ready.into_iter().rev() {
            let (socket, address) = waiting.swap_remove(index);
            match socket.take_error() {
                Ok(None) => {
                    if let Err(error) = socket.set_nonblocking(false) {
                        return Err(Unconnected::failed(address, error));
                    }
                    let stream = Arc::new(TcpStream::from(socket));
                    interrupt.watch(&stream);
                    return Ok((stream, address));
                }
                Ok(Some(error)) | Err(error) => {
                    keep(&mut last_error, Unconnected::failed(address, error));
                    // The next address need not wait for one that has failed.
                    next_at = Instant::now();
                }
            }
        }
    }
}

/// Keeps the latest error, but none of ours over one of the site's: an address that this machine
/// cannot reach says nothing of the others, which really failed.
fn keep(last: &mut Option<Unconnected>, error: Unconnected) {
    if !matches!(
        (&last, &error),
        (Some(Unconnected::Failed(..)), Unconnected::Local(..))
    ) {
        *last = Some(error);
    }
}

fn begin(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = socket(address, source)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if is_pending(&error) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// The positions of the sockets that have an answer, in rising order.
fn wait(waiting: &[(Socket, SocketAddr)], longest: Duration) -> Vec<usize> {
    let mut fds: Vec<PollFd<'_>> = waiting
        .iter()
        .map(|(socket, _)| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT))
        .collect();
    let longest = Timespec::try_from(longest).ok();
    // An interrupted wait is as good as one that ran out: the caller looks at the time again.
    if poll(&mut fds, longest.as_ref()).is_err() {
        return Vec::new();
    }
    fds.iter()
        .enumerate()
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(index, _)| index)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn never() -> Duration {
        Duration::ZERO
    }

    #[test]
    fn an_address_that_refuses_does_not_hold_up_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let refused = {
            let closed = TcpListener::bind("127.0.0.1:0").unwrap();
            closed.local_addr().unwrap()
        };
        let began = Instant::now();
        let deadline = began + Duration::from_secs(5);
        let (_, address) = connect(
            &[refused, good],
            None,
            deadline,
            &never,
            &Interrupt::default(),
        )
        .ok()
        .unwrap();
        assert_eq!(address, good);
        assert!(began.elapsed() < ATTEMPT_DELAY);
    }

    #[test]
    fn refusal_by_all_is_told() {
        let refused = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for addresses in [vec![refused], vec![refused, refused]] {
            let deadline = Instant::now() + Duration::from_secs(5);
            match connect(&addresses, None, deadline, &never, &Interrupt::default()) {
                Err(Unconnected::Failed(_, error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                }
                _ => panic!("not refused"),
            }
        }
    }
}
