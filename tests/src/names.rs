//! A name server on 127.0.0.1:53 of a namespace ([`crate::namespace`]).
//!
//! What it says is in the name: `servfail`, `refused` and `mute` fail, `v6` has an IPv6 address and
//! no other, `both` has one of each, `public` has 198.51.100.1, `split` has that and 127.0.0.1,
//! everything else has 127.0.0.1.

use std::{
    net::{Ipv6Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// The IPv6 address of those who have one: of documentation, so that no machine has a route to it.
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// A running name server.
#[derive(Clone, Debug)]
pub struct NameServer(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    silent: AtomicBool,
    killed: AtomicBool,
    gone: AtomicBool,
}

impl NameServer {
    /// Starts it.
    ///
    /// # Panics
    /// When the address is taken, or not ours to take.
    #[track_caller]
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").expect("bind the port of name servers");
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("set a timeout");
        let server = Self(Arc::default());
        let switches = Arc::clone(&server.0);
        thread::spawn(move || serve(socket, &switches));
        server
    }

    /// From now on it answers nothing.
    pub fn fall_silent(&self) {
        self.0.silent.store(true, Ordering::SeqCst);
    }

    /// Ends it; when this returns nobody listens on its port.
    pub fn kill(&self) {
        self.0.killed.store(true, Ordering::SeqCst);
        crate::wait::until("the name server's end", Duration::from_secs(10), || {
            self.0.gone.load(Ordering::SeqCst)
        });
    }
}

fn serve(socket: UdpSocket, switches: &Switches) {
    let mut message = [0; 512];
    while !switches.killed.load(Ordering::SeqCst) {
        // Its time is over now and then, to look at the switches.
        let Ok((length, client)) = socket.recv_from(&mut message) else {
            continue;
        };
        let question = message.get(..length).unwrap_or_default();
        if let Some(answer) = answer(question)
            && !switches.silent.load(Ordering::SeqCst)
        {
            // Who asked may have gone.
            socket.send_to(&answer, client).ok();
        }
    }
    drop(socket);
    switches.gone.store(true, Ordering::SeqCst);
}

/// The answer to a question (RFC 1035, section 4); nothing for the mute.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let labels = message.get(12..)?;
    let end = labels.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8_lossy(labels.get(..end)?).into_owned();
    let question = labels.get(..end + 5)?;
    let is_v6 = question.get(end + 2) == Some(&28);
    let (public, own) = (vec![198, 51, 100, 1], vec![127, 0, 0, 1]);
    let (code, addresses) = if name.contains("mute") {
        return None;
    } else if name.contains("servfail") {
        (2, vec![])
    } else if name.contains("refused") {
        (5, vec![])
    } else if is_v6 && (name.contains("v6") || name.contains("both")) {
        (0, vec![V6.octets().to_vec()])
    } else if is_v6 || name.contains("v6") || end == 0 {
        (0, vec![])
    } else if name.contains("public") {
        (0, vec![public])
    } else if name.contains("split") {
        (0, vec![public, own])
    } else {
        (0, vec![own])
    };
    let count = u8::try_from(addresses.len()).ok()?;
    let mut answer = message.get(..2)?.to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        let kind = if is_v6 { 28 } else { 1 };
        // The question's name, its type, IN, a minute.
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
        answer.push(u8::try_from(address.len()).ok()?);
        answer.extend(address);
    }
    Some(answer)
}
