//! A TCP proxy between a client and a server, with a hand on the cable.
//!
//! It knows nothing of what it carries. What it does to connections it does to all of them, those
//! that are open and, for [`Proxy::stall`] and [`Proxy::refuse`], those to come.

mod pump;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use crate::port;
use pump::{Cable, Counters};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the client sends.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// A running proxy; on drop its connections are cut and its port is closed.
pub struct Proxy {
    port: u16,
    server: SocketAddr,
    cable: Arc<Cable>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    /// Starts a proxy to a server, which need not run yet.
    pub fn to(server: impl Into<SocketAddr>) -> Self {
        let proxy = Self {
            port: port::reserve(),
            server: server.into(),
            cable: Arc::default(),
            listening: Mutex::default(),
        };
        proxy.accept();
        proxy
    }

    /// The port clients connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Resets every open connection, on both sides; new ones are accepted.
    pub fn cut(&self) {
        self.cable.cut();
    }

    /// Resets every connection once this many more bytes went in one direction, counted over all of
    /// them; exactly that many arrive. Connections made afterwards are not limited.
    pub fn cut_after(&self, bytes: u64, direction: Direction) {
        self.cable.cut_after(bytes, direction);
    }

    /// Carries nothing from now on; connections stay open and new ones are accepted.
    pub fn stall(&self) {
        self.cable.stall(true);
    }

    /// Ends [`Self::stall`] and [`Self::refuse`]; what waited is carried.
    pub fn resume(&self) {
        self.cable.stall(false);
        self.accept();
    }

    /// Closes the port, so that new connections are refused; open ones go on.
    pub fn refuse(&self) {
        let mut listening = self.listening.lock();
        if let Some(thread) = listening.take() {
            self.cable.close_port(true);
            // Wakes the thread, which looks at the flag first. It may have gone already.
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
            thread.join().expect("accepting does not panic");
        }
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.cable.counters().connections
    }

    /// How many bytes went in one direction, over all connections.
    pub fn bytes(&self, direction: Direction) -> u64 {
        let Counters {
            to_server,
            to_client,
            ..
        } = self.cable.counters();
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    fn accept(&self) {
        let mut listening = self.listening.lock();
        if listening.is_some() {
            return;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .expect("listen on the port reserved for the proxy");
        self.cable.close_port(false);
        let cable = Arc::clone(&self.cable);
        let server = self.server;
        *listening = Some(thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if cable.port_is_closed() {
                    break;
                }
                cable.connect(client, server);
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.cable.stall(false);
        self.cable.cut();
    }
}
