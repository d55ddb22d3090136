//! Websites that misbehave, over real sockets.
//!
//! The HTTP is written by hand, a few lines of it, because no server library can be talked into
//! most of this. Clients may do what they like: nothing a client does makes a thread here panic.

mod behaviour;
mod connection;
mod page;
mod request;
mod tls;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

pub use behaviour::{Answer, Behaviour};
pub use page::Page;
pub use request::Request;
pub use tls::{SslVersion, Tls};

use crate::port;

/// A running website on 127.0.0.1; stopped on drop, with its connections.
pub struct Website {
    port: u16,
    scheme: &'static str,
    site: Arc<Site>,
    /// What it accepts connections on and by which thread; `None` where it refuses them.
    listening: Option<(Arc<TcpListener>, JoinHandle<()>)>,
}

/// What the threads of one website share.
struct Site {
    behaviour: Behaviour,
    tls: Option<openssl::ssl::SslAcceptor>,
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    connections: u64,
    requests: Vec<Request>,
    open: HashMap<u64, TcpStream>,
}

impl Website {
    /// Starts a website over plain HTTP.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::launch(behaviour, None)
    }

    /// Starts a website over TLS, which behaves as told once the handshake is done.
    pub fn start_tls(behaviour: Behaviour, tls: &Tls) -> Self {
        Self::launch(behaviour, Some(tls))
    }

    /// A website whose pages say `body`, and nothing else is wrong with it.
    pub fn up(body: &str) -> Self {
        Self::start(Behaviour::Page(Page::ok(body)))
    }

    /// Its address, ending in `/`.
    pub fn url(&self) -> String {
        self.url_on("127.0.0.1")
    }

    /// Its address under another name of this machine.
    pub fn url_on(&self, host: &str) -> String {
        format!("{}://{host}:{}/", self.scheme, self.port)
    }

    /// Its address with `https`, even if it does not speak TLS: then the handshake meets what the
    /// behaviour makes of it.
    pub fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// Its port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests it has read, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.site.state().requests.clone()
    }

    /// How many connections it has accepted, those that never sent a request included.
    pub fn connections(&self) -> u64 {
        self.site.state().connections
    }

    fn launch(behaviour: Behaviour, tls: Option<&Tls>) -> Self {
        let refuses = matches!(behaviour, Behaviour::Refuses);
        let site = Arc::new(Site {
            behaviour,
            tls: tls.map(Tls::acceptor),
            state: Mutex::default(),
            stopped: Condvar::new(),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        if refuses {
            return Self {
                port: port::reserve(),
                scheme,
                site,
                listening: None,
            };
        }
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind any port of 127.0.0.1");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let listener = Arc::new(listener);
        let thread = thread::spawn({
            let (site, listener) = (Arc::clone(&site), Arc::clone(&listener));
            move || site.accept(&listener)
        });
        Self {
            port,
            scheme,
            site,
            listening: Some((listener, thread)),
        }
    }
}

impl Drop for Website {
    fn drop(&mut self) {
        self.site.stop();
        if let Some((listener, thread)) = self.listening.take() {
            // Wakes the thread, also where no port is left to connect from.
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).ok();
            thread.join().ok();
        }
        // What was accepted between the two is closed as well.
        self.site.stop();
    }
}

impl Site {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            let Some(number) = self.open(&stream) else {
                return;
            };
            let site = Arc::clone(self);
            let serve = move || {
                // How a connection ends is the client's affair.
                connection::serve(&site, stream).ok();
                site.state().open.remove(&number);
            };
            // Out of threads, the connection is dropped; its client sees it closed.
            thread::Builder::new().spawn(serve).ok();
        }
    }

    /// Notes a connection, and returns its number; nothing once the website stops.
    fn open(&self, stream: &TcpStream) -> Option<u64> {
        let mut state = self.state();
        if state.stopping {
            return None;
        }
        state.connections += 1;
        let number = state.connections;
        if let Ok(handle) = stream.try_clone() {
            state.open.insert(number, handle);
        }
        Some(number)
    }

    fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        for (_, stream) in state.open.drain() {
            stream.shutdown(Shutdown::Both).ok();
        }
        self.stopped.notify_all();
    }

    fn note(&self, request: &Request) {
        self.state().requests.push(request.clone());
    }

    /// Lets `time` pass, or less if the website stops meanwhile.
    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut state = self.state();
        while !state.stopping {
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return;
            };
            self.stopped.wait_for(&mut state, left);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
