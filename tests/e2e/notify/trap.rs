//! Holds a run of `notify` at one of its steps: a statement that PostgreSQL has not heard yet, one whose
//! answer has not arrived, a message that a receiver has and has not answered.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};
use sitewatch_tests::websites::{Behaviour, Page, Website};

/// Counts the steps of a run, and holds it at the one that is asked for.
#[derive(Default)]
pub(super) struct Trap {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    steps: usize,
    /// Which step is held, from 1; 0: none.
    at: usize,
    holds: bool,
}

impl Trap {
    /// Holds the next run at this step, from 1; 0: at none.
    pub(super) fn set(&self, at: usize) {
        *self.state.lock() = State {
            steps: 0,
            at,
            holds: false,
        };
    }

    /// Steps since it was set.
    pub(super) fn steps(&self) -> usize {
        self.state.lock().steps
    }

    /// Whether a run is held.
    pub(super) fn holds(&self) -> bool {
        self.state.lock().holds
    }

    /// Lets go of what was held, which does not go on.
    pub(super) fn release(&self) {
        self.state.lock().holds = false;
        self.released.notify_all();
    }

    /// Another step; `false`: it was held here, and is not to be done.
    fn step(&self) -> bool {
        let mut state = self.state.lock();
        state.steps += 1;
        if state.steps != state.at {
            return true;
        }
        state.holds = true;
        while state.holds {
            self.released.wait(&mut state);
        }
        false
    }

    /// A receiver that takes everything.
    pub(super) fn receiver(self: &Arc<Self>) -> Website {
        let trap = Arc::clone(self);
        Website::start(Behaviour::custom(move |_, out| {
            if trap.step() {
                out.write_all(&Page::ok("taken").header("Connection", "close").bytes())?;
            }
            Ok(())
        }))
    }

    /// The port of a proxy to the PostgreSQL on this one, for clients without TLS.
    pub(super) fn postgres(self: &Arc<Self>, server: u16) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let trap = Arc::clone(self);
        thread::spawn(move || {
            for client in listener.incoming() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
                trap.carry(client.unwrap(), server);
            }
        });
        port
    }

    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        /// How the message begins that ends a session: nobody waits for an answer.
        const TERMINATE: u8 = b'X';
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let is_asked = Arc::new(AtomicBool::new(false));
        let asks = {
            let (trap, is_asked) = (Arc::clone(self), Arc::clone(&is_asked));
            move |said: &[u8]| {
                let goes_on = said[0] == TERMINATE || trap.step();
                is_asked.store(said[0] != TERMINATE, Ordering::SeqCst);
                goes_on
            }
        };
        let trap = Arc::clone(self);
        // An answer comes in several pieces.
        let answers = move |_: &[u8]| !is_asked.swap(false, Ordering::SeqCst) || trap.step();
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || pump(from, to, asks));
        thread::spawn(move || pump(server, client, answers));
    }
}

/// Carries one direction to its end, or until something is not to be carried; then the connection ends.
fn pump(mut from: TcpStream, mut to: TcpStream, carries: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let said = &buffer[..read];
        if !carries(said) || to.write_all(said).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
