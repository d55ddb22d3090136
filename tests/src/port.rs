//! Ports of 127.0.0.1 for servers that must be told theirs before they start.

use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

/// A port nobody listens on, and which the kernel hands to nobody else for a minute.
///
/// A port that was only bound and closed may be given to the next process that asks for any port,
/// or become the source port of an outgoing connection. One connection opened on it and closed from
/// the listening side leaves it in TIME_WAIT: a server that names it may bind it (servers set
/// `SO_REUSEADDR`), but nobody gets it by chance.
pub fn reserve() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind any port of 127.0.0.1");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let mut client = TcpStream::connect(address).expect("connect to our own listener");
    let (server, _) = listener.accept().expect("accept our own connection");
    drop(server);
    // The side that closes first keeps TIME_WAIT, so its close has to have arrived.
    let read = client.read(&mut [0]).expect("read our own close");
    assert_eq!(read, 0, "nobody wrote");
    address.port()
}

/// Whether something accepts connections on `port` of 127.0.0.1.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}
