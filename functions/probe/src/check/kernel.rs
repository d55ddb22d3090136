//! What the kernel knows of a connection and nobody else can: when its bytes arrived, and how long
//! connecting took. Whoever is late with reading still learns the truth here.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, SystemTime};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TimestampingFlag, getsockopt, recvmsg, setsockopt, sockopt,
};
use nix::{getsockopt_impl, sockopt_impl};

sockopt_impl!(
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// Asks the kernel to note when bytes arrive at this socket. Where it will not, [`receive`] knows
/// no time.
pub(crate) fn note_arrivals(socket: &impl AsFd) {
    let software = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    if let Err(error) = setsockopt(socket, sockopt::Timestamping, &software) {
        log::debug!("the kernel does not tell when bytes arrive: {error}");
    }
}

/// Keeps the kernel noting arrivals, as long as it lives. Turning that on with the first socket
/// that wants it takes the kernel some milliseconds, in which the first checks would go without.
pub(crate) fn keep_noting() -> Option<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).ok()?;
    note_arrivals(&socket);
    Some(socket)
}

/// What was read at once.
pub(super) struct Received {
    /// 0: the connection is at its end.
    pub(super) length: usize,
    /// When the last of it arrived; `None`: the kernel does not say.
    pub(super) arrived: Option<SystemTime>,
}

/// Reads what is there, without waiting.
pub(super) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Received> {
    // A header of 16 bytes and three times of 16 (socket(7), SCM_TIMESTAMPING).
    let mut control = [0; 128];
    let mut pieces = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut pieces,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let arrived = message.cmsgs().ok().and_then(|mut notes| {
        notes.find_map(|note| match note {
            ControlMessageOwned::ScmTimestampsns(times) => Some(Duration::from(times.system)),
            _ => None,
        })
    });
    Ok(Received {
        length: message.bytes,
        arrived: arrived
            .filter(|since| !since.is_zero())
            .map(|since| SystemTime::UNIX_EPOCH + since),
    })
}

/// From SYN to SYN-ACK, on a connection that was just made; `None`: the kernel does not say, or the
/// SYN was sent again, when it only knows of the last one.
pub(super) fn time_to_connect(socket: &impl AsFd) -> Option<Duration> {
    let info = getsockopt(socket, TcpInfo).ok()?;
    (info.tcpi_rtt > 0 && info.tcpi_total_retrans == 0)
        .then(|| Duration::from_micros(u64::from(info.tcpi_rtt)))
}
