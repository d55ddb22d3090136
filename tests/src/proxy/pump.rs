//! Carrying bytes between two sockets until somebody pulls the cable.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::net::sockopt::set_socket_linger;

use super::Direction;

/// How long a write to somebody who does not read may hold up the news of a cut.
const WRITE_TIMEOUT: Duration = Duration::from_millis(20);

/// All connections of a proxy, and what is done to them.
#[derive(Default)]
pub(super) struct Cable {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    counters: Counters,
    port_closed: bool,
    stalled: bool,
    limit: Option<(Direction, u64)>,
    next: u64,
    open: HashMap<u64, Connection>,
}

/// An open connection. Whoever takes it off the list has cut it: closing the last handle of a socket
/// resets it, see [`reset_on_close`].
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// One direction has come to its orderly end.
    half_closed: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) connections: u64,
    pub(super) to_server: u64,
    pub(super) to_client: u64,
}

impl Cable {
    pub(super) fn counters(&self) -> Counters {
        self.state().counters
    }

    pub(super) fn port_is_closed(&self) -> bool {
        self.state().port_closed
    }

    pub(super) fn close_port(&self, closed: bool) {
        self.state().port_closed = closed;
    }

    pub(super) fn stall(&self, stalled: bool) {
        self.state().stalled = stalled;
        self.changed.notify_all();
    }

    pub(super) fn cut_after(&self, bytes: u64, direction: Direction) {
        self.state().limit = Some((direction, bytes));
    }

    pub(super) fn cut(&self) {
        self.state().cut();
        self.changed.notify_all();
    }

    /// Connects the client to the server, or resets it when the server does not answer.
    pub(super) fn connect(self: &Arc<Self>, client: TcpStream, server: SocketAddr) {
        reset_on_close(&client);
        let Ok(server) = TcpStream::connect(server) else {
            return;
        };
        reset_on_close(&server);
        self.carry(client, server).ok();
    }

    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) -> io::Result<()> {
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        }
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.counters.connections += 1;
        let connection = Connection {
            client: client.try_clone()?,
            server: server.try_clone()?,
            half_closed: false,
        };
        state.open.insert(number, connection);
        drop(state);
        let up = (client.try_clone()?, server.try_clone()?);
        let down = (server, client);
        for (direction, (from, to)) in [(Direction::ToServer, up), (Direction::ToClient, down)] {
            let cable = Arc::clone(self);
            thread::spawn(move || cable.pump(number, direction, from, to));
        }
        Ok(())
    }

    /// Carries one direction to its end. An orderly end is passed on as such, a reset as a reset.
    fn pump(&self, number: u64, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer);
            if !self.may_carry(number) {
                return;
            }
            let carried = match read {
                Ok(0) => {
                    to.shutdown(Shutdown::Write).ok();
                    self.state().close_half(number);
                    return;
                }
                Ok(read) => {
                    let (allowed, cut_now) = self.state().count(direction, read);
                    let written = self.write(number, &mut to, &buffer[..allowed]);
                    if cut_now {
                        self.cut();
                    }
                    written
                }
                Err(error) => Err(error),
            };
            if carried.is_err() {
                self.state().cut_one(number);
                return;
            }
        }
    }

    fn write(&self, number: u64, to: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.state().open.contains_key(&number) {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits while the proxy is stalled; returns false when the connection was cut.
    fn may_carry(&self, number: u64) -> bool {
        let mut state = self.state();
        while state.stalled && state.open.contains_key(&number) {
            self.changed.wait(&mut state);
        }
        state.open.contains_key(&number)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// How many of `read` bytes may go on, and whether that was the last of the limit.
    fn count(&mut self, direction: Direction, read: usize) -> (usize, bool) {
        let mut allowed = read as u64;
        let mut cut_now = false;
        if let Some((limited, left)) = &mut self.limit
            && *limited == direction
        {
            allowed = allowed.min(*left);
            *left -= allowed;
            cut_now = *left == 0;
        }
        if cut_now {
            self.limit = None;
        }
        match direction {
            Direction::ToServer => self.counters.to_server += allowed,
            Direction::ToClient => self.counters.to_client += allowed,
        }
        (allowed as usize, cut_now)
    }

    fn cut(&mut self) {
        self.open
            .drain()
            .for_each(|(_, connection)| connection.wake());
    }

    fn cut_one(&mut self, number: u64) {
        if let Some(connection) = self.open.remove(&number) {
            connection.wake();
        }
    }

    /// Notes the orderly end of one direction; after both, the sockets are closed without a reset.
    fn close_half(&mut self, number: u64) {
        let Some(connection) = self.open.get_mut(&number) else {
            return;
        };
        if !connection.half_closed {
            connection.half_closed = true;
            return;
        }
        for stream in [&connection.client, &connection.server] {
            set_socket_linger(stream, None).ok();
        }
        self.open.remove(&number);
    }
}

impl Connection {
    /// Makes the threads that read from it notice; this sends nothing to anybody.
    fn wake(&self) {
        self.client.shutdown(Shutdown::Read).ok();
        self.server.shutdown(Shutdown::Read).ok();
    }
}

/// Makes the kernel answer the closing of this socket with a reset rather than an orderly end.
fn reset_on_close(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).expect("set an option of our own socket");
}
