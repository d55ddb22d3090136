//! TCP connections: to the first of several addresses that answers, from an address of choice.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use sitewatch::event::Outcome;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::failure::{Failure, local_cause};
use super::kernel::{note_arrivals, time_to_connect};
use super::route::obstacle;
use super::trace::{Phase, Trace};

/// The head start of one address over the next (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// What is wrong with this machine, whatever the site is like; for people.
    Local(SocketAddr, String),
    /// The last address's error.
    Failed(SocketAddr, io::Error),
}

impl ConnectError {
    /// An error, which is ours if this machine explains it.
    fn of(address: SocketAddr, error: io::Error) -> Self {
        match local_cause(&error).or_else(|| unreachable(address, &error)) {
            Some(why) => Self::Local(address, why),
            None => Self::Failed(address, error),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Local(address, _) | Self::Failed(address, _) => *address,
        }
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

/// No answer in time from these addresses. It is ours if no question got past this machine's
/// gateways.
pub(super) fn unanswered(asked: &[IpAddr]) -> Failure {
    let mut local = None;
    for address in asked {
        match obstacle(*address) {
            Some(why) => local = Some(Failure::new(Outcome::Local, why)),
            None => return Failure::timeout(Phase::Connect),
        }
    }
    local.unwrap_or_else(|| Failure::timeout(Phase::Connect))
}

/// A connection that is being made.
type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Connected, ConnectError>> + 'a>>;

/// A connection, and when its SYN was sent.
struct Connected {
    stream: TcpStream,
    address: SocketAddr,
    began: Instant,
}

/// Connects to the first address that answers. Happy eyeballs: each address gets a head start over
/// the next.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    trace: &Trace,
) -> Result<TcpStream, ConnectError> {
    let connected = match addresses {
        [address] => connect_one(*address, source, trace).await,
        _ => connect_first(addresses, source, trace).await,
    };
    match connected {
        Ok(connected) => {
            trace.reached(connected.address.ip());
            let took = time_to_connect(&connected.stream);
            match took.map(|took| connected.began + took) {
                Some(at) if at <= Instant::now() => trace.came(at),
                _ => trace.happened_now(),
            }
            Ok(connected.stream)
        }
        Err(error) => {
            trace.reached(error.address().ip());
            trace.happened_now();
            Err(error)
        }
    }
}

async fn connect_one(
    address: SocketAddr,
    source: Option<IpAddr>,
    trace: &Trace,
) -> Result<Connected, ConnectError> {
    let failed = |error| ConnectError::of(address, error);
    let socket = socket(address, source).map_err(failed)?;
    trace.asks(address.ip());
    let began = Instant::now();
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(address)
        .await
        .map_err(failed)?;
    Ok(Connected {
        stream,
        address,
        began,
    })
}

async fn connect_first(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    trace: &Trace,
) -> Result<Connected, ConnectError> {
    let mut rest = addresses.iter().copied();
    let mut waiting: Vec<Attempt<'_>> = Vec::new();
    let mut last_error = None;
    loop {
        match rest.next() {
            Some(address) => waiting.push(Box::pin(connect_one(address, source, trace))),
            None if waiting.is_empty() => {
                return Err(last_error.unwrap_or_else(|| {
                    ConnectError::of(
                        SocketAddr::from(([0, 0, 0, 0], 0)),
                        io::ErrorKind::AddrNotAvailable.into(),
                    )
                }));
            }
            None => {}
        }
        let delay = async {
            if rest.len() > 0 {
                tokio::time::sleep(ATTEMPT_DELAY).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            first = first_of(&mut waiting) => match first {
                Ok(connected) => return Ok(connected),
                // The next address need not wait for one that has failed.
                Err(error) => keep(&mut last_error, error),
            },
            () = delay => {}
        }
    }
}

/// Keeps the latest error, but none of ours over one of the site's: an address that this machine
/// cannot reach says nothing of the others, which really failed.
fn keep(last: &mut Option<ConnectError>, error: ConnectError) {
    if !matches!(
        (&last, &error),
        (Some(ConnectError::Failed(..)), ConnectError::Local(..))
    ) {
        *last = Some(error);
    }
}

/// The first of the attempts to end, which is taken out.
async fn first_of(waiting: &mut Vec<Attempt<'_>>) -> Result<Connected, ConnectError> {
    poll_fn(|context| {
        for index in 0..waiting.len() {
            let Some(attempt) = waiting.get_mut(index) else {
                break;
            };
            if let Poll::Ready(ended) = attempt.as_mut().poll(context) {
                drop(waiting.swap_remove(index));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await
}

fn socket(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    note_arrivals(&socket);
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(super::connect(addresses, None, &Trace::start()))
    }

    fn refusing() -> SocketAddr {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        closed.local_addr().unwrap()
    }

    #[test]
    fn an_address_that_refuses_does_not_hold_up_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream = connect(&[refusing(), good]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(began.elapsed() < ATTEMPT_DELAY);
    }

    #[test]
    fn refusal_by_all_is_told() {
        let refused = refusing();
        for addresses in [vec![refused], vec![refused, refused]] {
            match connect(&addresses).unwrap_err() {
                ConnectError::Failed(_, error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                }
                ConnectError::Local(_, why) => panic!("{why}"),
            }
        }
    }
}
